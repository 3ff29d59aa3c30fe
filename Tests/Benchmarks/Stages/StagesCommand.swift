import ArgumentParser
import Capture
import JetStreamPublishing
import PGOutput
import WAL
import WireMessages

/// The hot path stage by stage, each with those before it: what a row costs, and how often it allocates.
struct StagesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stages",
        abstract: "Nanoseconds and allocations a row of the demo table: decode, assemble, encode, hand to libnats.",
        discussion: """
            Each stage contains those before it. The last one hands every event to libnats, behind which a server reads into nothing.
            Rows of one transaction, and rows of a transaction each.

            Example:
              stage-benchmark stages --rows 500000 --rounds 5
            """)

    @Option(help: "Rows in each round.")
    var rows = 300_000

    @Option(help: "Rounds; the median is printed.")
    var rounds = 5

    /// Hands events to libnats as the delivery thread does.
    private struct Publisher: EventSink {
        let connection: JetStreamConnection
        var token: UInt64 = 1
        var error: JetStreamError?

        mutating func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) {
            subject.withUnsafeBytes { subject in
                messageID.withUnsafeBytes { messageID in
                    payload.withUnsafeBytes { payload in
                        do throws(JetStreamError) {
                            try connection.publish(
                                subject: bytes(subject).span, messageID: bytes(messageID).span,
                                payload: bytes(payload).span, expectedLastSequence: token - 1, token: token, epoch: 1)
                        } catch {
                            self.error = error
                        }
                    }
                }
            }
            token += 1
        }

        private func bytes(_ raw: UnsafeRawBufferPointer) -> UnsafeBufferPointer<UInt8> {
            raw.bindMemory(to: UInt8.self)
        }
    }

    /// The demo table's rows, as they come from PostgreSQL.
    private struct Rows {
        let relation = WireMessage.relation(columns: [
            .init(name: "pk_order", typeOID: 20), .init(name: "id", typeOID: 2950, isKey: true),
            .init(name: "identifier", typeOID: 25), .init(name: "items", typeOID: 1009),
            .init(name: "shipping_address", typeOID: 25), .init(name: "status", typeOID: 25),
            .init(name: "total_amount", typeOID: 1700), .init(name: "created_at", typeOID: 1184),
        ])
        let row = WireMessage.insert([
            .text("421337"), .text("2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11"), .text("order 421337"), .text("{sku-1}"),
            .text("1 Main Street"), .text("pending"), .text("0.00"), .text("2026-11-23 07:09:12.123456+00"),
        ])
        let begin = WireMessage.begin(0x16B_3748)
        let commit = WireMessage.commit(0x16B_3748)
    }

    func run() throws {
        let rows = Rows()
        for isBulk in [true, false] {
            let name = isBulk ? "one transaction" : "single rows"
            let messages = isBulk ? [rows.row] : [rows.begin, rows.row, rows.commit]
            try report("\(name): decode") { try decoding(rows, messages, isBulk) }
            try report("\(name): + assemble") {
                try capturing(rows, messages, isBulk, exclusions: ["*.*"], into: Feed.Sink()) { _ in }
            }
            try report("\(name): + encode") {
                try capturing(rows, messages, isBulk, exclusions: [], into: Feed.Sink()) { _ in }
            }
            let server = try SinkServer()
            let connection = try JetStreamConnection(
                JetStreamConnectionOptions(urls: [server.url]), mailbox: AckMailbox(stream: "none") {}
            ) { _ in }
            try report("\(name): + hand to libnats") {
                try capturing(rows, messages, isBulk, exclusions: [], into: Publisher(connection: connection)) {
                    if let error = $0.error { throw error }
                }
            }
            connection.close()
        }
    }

    private func report(_ name: String, _ measure: () throws -> Measured) throws {
        let measured = try measure()
        print("\(name): \(measured.text), \(measured.allocationCount) allocations for \(measured.totalCount) rows")
    }

    private func decoding(_ rows: Rows, _ messages: [[UInt8]], _ isBulk: Bool) throws -> Measured {
        var decoder = PGOutputDecoder()
        _ = try decoder.decode(rows.relation.span.bytes)
        if isBulk { _ = try decoder.decode(rows.begin.span.bytes) }
        return try Measured(rounds: rounds, count: self.rows) {
            for _ in 0..<self.rows {
                for message in messages { _ = try decoder.decode(message.span.bytes) }
            }
        }
    }

    private func capturing<Sink: EventSink>(
        _ rows: Rows, _ messages: [[UInt8]], _ isBulk: Bool, exclusions: [String], into sink: consuming Sink,
        check: (borrowing Sink) throws -> Void
    ) throws -> Measured {
        var sink = sink
        var decoder = PGOutputDecoder()
        let types = TypeCatalogue()
        var assembler = try TransactionAssembler(
            configuration: CaptureConfiguration(exclusions: exclusions),
            functions: CaptureFunctions(hmacSHA256: nil) { _, _ in false },
            identity: SourceIdentity(systemID: 7_439_120_938_471_029_384, databaseOID: 5, databaseName: "shop"),
            timelines: TimelineHistory(currentTimeline: 1), payloadLimit: 1_048_576, watermark: nil, proof: nil)
        func receive(_ message: [UInt8]) throws {
            let bytes = message.span.bytes
            let decoded = try decoder.decode(bytes)
            while try assembler.receive(decoded, of: decoder, bytes: bytes, sendTime: PostgresTimestamp(0), into: &sink) == .asks {
                // Columns of these types are all that is asked about, and PostgreSQL's own types are known.
                guard case .description = assembler.question else { return }
                assembler.answer(.description(TableDescription(types: types)))
            }
        }
        var messages = messages
        var commitLSN: UInt64 = 0x16B_3748
        func receiveAll() throws {
            for message in messages { try receive(message) }
            if isBulk { return }
            // Each transaction commits behind the one before it.
            commitLSN += 0x100
            WireMessage.move(&messages[0], to: commitLSN)
            WireMessage.move(&messages[messages.count - 1], to: commitLSN)
        }
        try receive(rows.relation)
        if isBulk { try receive(rows.begin) }
        for _ in 0..<1000 { try receiveAll() }
        let measured = try Measured(rounds: rounds, count: self.rows) {
            for _ in 0..<self.rows { try receiveAll() }
        }
        try check(sink)
        return measured
    }
}
