import Capture
import PGOutput
import WAL
import WireMessages

/// A decoder and an assembler, fed with messages; counts what comes out.
struct Feed: ~Copyable {
    /// Counts events and their bytes, and hands each to `inspect`.
    struct Sink: EventSink {
        var eventCount = 0
        var byteCount = 0
        /// Kept of the latest event, if asked for.
        var keepsPayload = false
        var payload: [UInt8] = []

        mutating func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) {
            eventCount += 1
            byteCount += payload.byteCount
            if keepsPayload { self.payload = payload.withUnsafeBytes { Array($0) } }
        }
    }

    var sink = Sink()
    /// What the catalogue would say of the relations' types.
    var types = TypeCatalogue()
    private var decoder = PGOutputDecoder()
    var assembler: TransactionAssembler

    init(_ configuration: CaptureConfiguration = CaptureConfiguration()) throws(CaptureError) {
        assembler = try TransactionAssembler(
            configuration: configuration, functions: CaptureFunctions(hmacSHA256: nil) { _, _ in false },
            identity: SourceIdentity(systemID: 7_439_120_938_471_029_384, databaseOID: 5, databaseName: "shop"),
            timelines: TimelineHistory(currentTimeline: 1), payloadLimit: 1_048_576, watermark: nil, proof: nil)
    }

    mutating func receive(_ message: [UInt8]) throws {
        let bytes = message.span.bytes
        let decoded = try decoder.decode(bytes)
        while try assembler.receive(decoded, of: decoder, bytes: bytes, sendTime: PostgresTimestamp(0), into: &sink) == .asks {
            switch assembler.question {
            case .description: assembler.answer(.description(TableDescription(types: types)))
            case .types: assembler.answer(.types(types))
            case .casts(let requests): assembler.answer(.casts(requests.map { _ in .unknown }))
            case nil: return
            }
        }
    }
}
