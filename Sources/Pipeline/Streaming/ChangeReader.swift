package import Capture
import History
import PGOutput
import PostgresReplication
package import WAL

/// Reads what a slot, or a copy of one, sends, as events: the stream's messages decoded, assembled, and described by the catalogue. It never confirms.
///
/// It belongs to one thread and never waits: where the catalogue has to be asked first, the message is left where it is, and taken when the answer is there.
package final class ChangeReader<Port: SlotPort, Catalogue: CataloguePort> {
    /// What came.
    enum Step {
        /// A message was taken. Events that became complete by it are in the sink. `progress` does not count it yet.
        case message(PGOutputMessage, TransactionAssembler.Action, walEnd: LSN)
        /// The server has sent all that commits before `walEnd`, where no transaction is under way. Whether that is believed is for the caller to say, by
        /// `decoded(upTo:)`.
        case keepalive(walEnd: LSN, isReplyRequested: Bool)
    }

    /// Why a call came back.
    enum Outcome: Equatable {
        /// All that had arrived was taken: wait for more.
        case drained
        /// The turn was long enough, or `isWanted` said no. More may be there, of which the socket says nothing.
        case stopped
        /// The catalogue is being asked. Nothing is taken before the answer is there.
        case asking
        /// All that commits before the position that was given was taken.
        case reachedEnd
    }

    /// What took long to take is followed by a status: no other message is taken in the same turn.
    static var largeMessageByteCount: Int { 1024 * 1024 }

    let port: Port
    let catalogue: Catalogue
    /// What makes events of messages.
    private(set) var assembler: TransactionAssembler
    /// How far the server has come, by what it sent.
    private(set) var progress: SlotProgress
    private var decoder = PGOutputDecoder()
    private var tables = TablesInReading()
    private var frameCount = 0
    private var isAsking = false
    /// The message that waits commits behind the end that was given.
    private var isBehindEnd = false

    /// - Parameters:
    ///   - port: It streams already.
    ///   - startLSN: Where it was asked to begin.
    package init(_ port: Port, catalogue: Catalogue, assembler: consuming TransactionAssembler, startLSN: LSN) {
        self.port = port
        self.catalogue = catalogue
        self.assembler = assembler
        progress = SlotProgress(startLSN: startLSN)
    }

    /// Takes what has arrived, without waiting.
    ///
    /// - Parameters:
    ///   - end: Only what commits before it is taken; nil: there is no end.
    ///   - sink: Takes the events.
    ///   - beforeFrame: Called before each frame that came.
    ///   - follow: Called after each. Whether the next may be taken: whoever has no room says no.
    /// - Returns: Why it came back, and how many messages were taken.
    /// - Throws: `.serverShuttingDown` at the end of the stream; what the stream, the messages, the catalogue and the callers' functions throw.
    func read(
        until end: LSN? = nil, into sink: inout some EventSink & ~Copyable,
        beforeFrame: () throws(StreamerError) -> Void = { () throws(StreamerError) in },
        follow: (Step) throws(StreamerError) -> Bool
    ) throws(StreamerError) -> (outcome: Outcome, frameCount: Int) {
        frameCount = 0
        if isOver(end) { return (.reachedEnd, 0) }
        // Without the answer the message that waits would only be decoded again.
        if isAsking, try !tables.hasAnswer(from: catalogue) { return (.asking, 0) }
        isAsking = false
        isBehindEnd = false
        let outcome: ReceiveOutcome
        do throws(ReceiveError<StreamerError>) {
            outcome = try port.receiveFrames(
                onXLogData: { (walStart, walEnd, sendTime, payload) throws(StreamerError) in
                    try beforeFrame()
                    return try take(payload, at: walStart, walEnd: walEnd, sendTime: sendTime, until: end, &sink, follow)
                },
                onKeepalive: { (walEnd, _, isReplyRequested) throws(StreamerError) in
                    try beforeFrame()
                    let goesOn = try follow(.keepalive(walEnd: walEnd, isReplyRequested: isReplyRequested))
                    return goesOn && !isOver(end) ? .proceed : .stop
                })
        } catch {
            switch error {
            case .postgres(let error): throw .postgres(error)
            case .handler(let error): throw error
            }
        }
        if isBehindEnd || isOver(end) { return (.reachedEnd, frameCount) }
        if isAsking { return (.asking, frameCount) }
        switch outcome {
        case .drained: return (.drained, frameCount)
        case .stopped: return (.stopped, frameCount)
        case .ended: throw .serverShuttingDown
        }
    }

    /// Has the rows told to `witness` that it watches.
    func watch(by witness: any RowWitness) { assembler.witness = witness }

    /// What events are counted by; see ``TransactionAssembler``.
    func kindIndex(entity: String, operation: String) -> Int32 { assembler.kindIndex(entity: entity, operation: operation) }

    /// The server has decoded everything up to `end`, and sent what there is of it.
    func decoded(upTo end: LSN) throws(StreamerError) {
        do throws(CaptureError) {
            try assembler.decoded(upTo: end)
        } catch {
            throw .capture(error)
        }
        progress.decoded(upTo: end)
    }

    @inline(__always)
    private func take(
        _ payload: borrowing RawSpan, at walStart: LSN, walEnd: LSN, sendTime: PostgresTimestamp, until end: LSN?,
        _ sink: inout some EventSink & ~Copyable, _ follow: (Step) throws(StreamerError) -> Bool
    ) throws(StreamerError) -> FrameContinuation {
        let message: PGOutputMessage
        do throws(PGOutputError) {
            message = try decoder.decode(payload)
        } catch {
            throw .decoding(error, at: walStart)
        }
        if let end, !message.commits(before: end) {
            isBehindEnd = true
            return .keep
        }
        if tables.isDue(before: message), try !tables.settle(before: message, &assembler, by: catalogue) { return ask() }
        var action = try receive(message, payload, sendTime, &sink)
        while action == .asks {
            guard try tables.answer(&assembler, by: catalogue) else { return ask() }
            action = try receive(message, payload, sendTime, &sink)
        }
        frameCount += 1
        let goesOn = try follow(.message(message, action, walEnd: walEnd))
        progress.received(message)
        let isTurnOver = payload.byteCount >= Self.largeMessageByteCount || frameCount >= ReadingPace.frameLimit || isOver(end)
        return goesOn && !isTurnOver ? .proceed : .stop
    }

    /// Whether all that commits before `end` was sent.
    private func isOver(_ end: LSN?) -> Bool {
        guard let end else { return false }
        return progress.transaction == nil && progress.endLSN >= end
    }

    private func ask() -> FrameContinuation {
        isAsking = true
        return .keep
    }

    @inline(__always)
    private func receive(
        _ message: PGOutputMessage, _ payload: borrowing RawSpan, _ sendTime: PostgresTimestamp,
        _ sink: inout some EventSink & ~Copyable
    ) throws(StreamerError) -> TransactionAssembler.Action {
        do throws(CaptureError) {
            return try assembler.receive(message, of: decoder, bytes: payload, sendTime: sendTime, into: &sink)
        } catch {
            throw tables.explained(error)
        }
    }
}

extension PGOutputMessage {
    /// False where it is, or begins, what commits at `end` or behind it.
    fileprivate func commits(before end: LSN) -> Bool {
        switch self {
        case .begin(let begin): begin.finalLSN < end
        // Its LSN is where its record ends: a slot that stands there does not send it any more.
        case .message(let message): message.isTransactional || message.lsn <= end
        case .commit, .origin, .relation, .type, .insert, .update, .delete, .truncate, .streamStart, .streamStop, .streamCommit,
            .streamAbort, .beginPrepare, .prepare, .commitPrepared, .rollbackPrepared, .streamPrepare:
            true
        }
    }
}
