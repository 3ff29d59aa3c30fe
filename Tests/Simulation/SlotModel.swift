import Capture
import History
import PGOutput
import Pipeline
import PostgresReplication
import Threads
import WAL

/// The streamer's end of a replication connection, and of the ordinary one beside it, to the model of PostgreSQL.
final class SlotModel: SlotPort, SlotServer, CataloguePort {
    private let process: Process
    private let strand: Strand
    private let server: ModelServer
    private let walsender: Walsender
    private var world: World { process.world }

    init(_ process: Process, _ strand: Strand, _ walsender: Walsender) {
        self.process = process
        self.strand = strand
        self.walsender = walsender
        server = process.world.server
    }

    // MARK: - SlotPort

    var now: Instant { Instant(nanoseconds: process.now) }

    var hasUnsentOutput: Bool { false }

    func receiveFrames<HandlerError: Error>(
        onXLogData: (LSN, LSN, PostgresTimestamp, RawSpan) throws(HandlerError) -> FrameContinuation,
        onKeepalive: (LSN, PostgresTimestamp, Bool) throws(HandlerError) -> FrameContinuation
    ) throws(ReceiveError<HandlerError>) -> ReceiveOutcome {
        process.pass(strand)
        if process.isDead { throw .postgres(Self.gone) }
        while let frame = walsender.next() {
            let continuation: FrameContinuation
            do throws(HandlerError) {
                switch frame {
                case .data(let lsn, let bytes):
                    continuation = try onXLogData(LSN(lsn), LSN(lsn), PostgresTimestamp(0), bytes.span.bytes)
                case .keepalive(let lsn, let isReplyRequested):
                    process.keepaliveLSN = max(process.keepaliveLSN, lsn)
                    continuation = try onKeepalive(LSN(lsn), PostgresTimestamp(0), isReplyRequested)
                }
            } catch {
                throw .handler(error)
            }
            if continuation == .keep { walsender.giveBack() }
            if continuation != .proceed { return .stopped }
        }
        if !walsender.isOpen { throw .postgres(Self.gone) }
        return .drained
    }

    func sendStandbyStatus(
        written writtenLSN: LSN, flushed flushedLSN: LSN, applied appliedLSN: LSN, replyRequested: Bool
    ) throws(PostgresError) {
        process.pass(strand)
        if process.isDead || !walsender.isOpen { throw Self.gone }
        let flushed = world.plant.flushed(flushedLSN.rawValue, written: writtenLSN.rawValue, by: process)
        if flushed > 0 { world.oracle.confirms(flushed, on: walsender) }
        walsender.sendStatus(written: writtenLSN.rawValue, flushed: flushed)
        process.pass(strand)
    }

    func flush() throws(PostgresError) {}

    func wait(isListening: Bool, orFor other: Int32?, timeout: Duration) {
        guard !process.isDead, !(isListening && walsender.hasArrived) else { return process.pass(strand) }
        let end = world.now + timeout.wholeNanoseconds
        strand.wait(until: question == nil ? end : min(end, max(answerAt, world.now)))
    }

    func rest(_ duration: Duration) { process.pass(strand) }


    // MARK: - SlotServer

    private(set) var isLost = false
    var isAskable: Bool { !isLost }
    var isConnecting: Bool { false }
    var socket: Int32? { nil }
    var whileWaiting: () -> Void = {}
    private(set) var questionError: PostgresError?
    func look() { if !walsender.isOpen || process.isDead { isLost = true } }

    func lost() { isLost = true }

    func hasReconnected() throws(PostgresError) -> Bool {
        process.pass(strand)
        try requireServer()
        isLost = false
        return true
    }

    func slot() throws(PostgresError) -> SlotState? {
        process.pass(strand)
        try requireServer()
        return server.slotState
    }

    func writtenLSN() throws(PostgresError) -> LSN {
        process.pass(strand)
        try requireServer()
        return LSN(server.end)
    }

    private func requireServer() throws(PostgresError) {
        if process.isDead || !server.isUp { throw Self.gone }
    }

    func publicationState() -> PublicationState? {
        PublicationState(isThere: true, isOlderThanSlot: true, serverLSN: LSN(server.end))
    }

    func publicationContents(ifChanged isChanged: (String?) -> Bool) -> (mark: String?, contents: PublicationContents)? { nil }

    func advanceSlot(to lsn: LSN) -> LSN? { nil }

    // MARK: - CataloguePort

    /// The question that is open, and when its answer is there.
    private var question: TableQuestion?
    private var answerAt: UInt64 = 0

    func answer(to question: TableQuestion) throws(StreamerError) -> TableAnswer? {
        process.pass(strand)
        if process.isDead || !server.isUp { throw .postgres(Self.gone) }
        // Sometimes it takes a while: the message waits where it is.
        if self.question == nil, world.random.once(in: 2) {
            self.question = question
            answerAt = world.now + 1_000_000
        }
        if self.question != nil {
            guard world.now >= answerAt else { return nil }
            self.question = nil
        }
        switch question {
        case .capture(.description, _): return .capture(.description(TableDescription()), isCertain: true, refusal: nil)
        case .capture(.types, _): return .capture(.types(TypeCatalogue()), isCertain: true, refusal: nil)
        case .capture(.casts(let requests), _): return .capture(.casts(requests.map { _ in .unknown }), isCertain: true, refusal: nil)
        case .shown(let ids): return .shown(Set(ids))
        case .gone: return .gone([], asOf: .invalid)
        }
    }

    private static let gone = PostgresError.connectionLost(message: "the model")
}

extension Duration {
    /// Not below zero.
    var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds)) / 1_000_000_000
    }
}
