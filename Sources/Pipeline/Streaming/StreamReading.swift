import Capture
import History
import JetStreamPublishing
import WAL

/// Reads what the stream holds behind what is proven: every header of it, from its leader's first to the end that the leader told.
enum StreamReading {
    /// Headers that are read, and kept to be compared, at a time.
    static let chunkCount: UInt64 = 131_072
    /// The name of the consumer that reads them, for the rights that it takes.
    static let consumer = "slotstream_headers"

    /// What cannot be gone on with; on a replicated stream a woken old leader could feign it.
    struct Doubt: Equatable {
        /// nil: recovery from the start decides.
        var reason: StopReason?
        var what: String
        var remedy = ""

        var error: StreamerError {
            reason.map { .stop($0, what: what, remedy: remedy) } ?? .streamMoved(what)
        }
    }

    enum Outcome {
        /// The beginning of what is there, to be compared; `end` is the stream's last sequence.
        case read(StreamComparison, end: UInt64, Prevention)
        case doubtful(Doubt, isMajorityCurrent: Bool)
    }

    /// Where it is read, and what is told meanwhile.
    struct Source<Reader: StreamReader> {
        var stream: String
        var connection: Reader
        /// Asked all the while; false gives it up.
        var isWanted: () -> Bool
        /// Told each message that is not ours: its sequence and subject.
        var onStray: (UInt64, String) -> Void
        /// See `StreamComparison`.
        var isMending = false
    }

    /// Reads the stream's state and the first chunk.
    /// - Parameter mayHaveUnknown: Whether something of ours may be stored of which nothing is known yet.
    static func read(
        behind known: KnownEnd, mayHaveUnknown: Bool, identity: SourceIdentity, timelines: TimelineHistory, _ source: Source<some StreamReader>
    ) throws(JetStreamError) -> Outcome {
        guard let info = try source.connection.streamInfo(source.stream) else {
            return .doubtful(Doubt(what: "the stream no longer exists"), isMajorityCurrent: true)
        }
        let isMajorityCurrent = info.cluster?.hasCurrentMajority ?? true
        func moved(_ what: String) -> Outcome { .doubtful(Doubt(what: what), isMajorityCurrent: isMajorityCurrent) }
        guard info.created == known.created else {
            return moved("the stream was created again at \(info.created) (before: \(known.created))")
        }
        let end = info.state.lastSequence
        // Half of all sequences are control tokens.
        guard end < AckMailbox.controlBit else {
            throw .malformedResponse(operation: "the last sequence of stream \(source.stream)")
        }
        guard end >= known.settledSequence else {
            return moved("the stream ends at sequence \(end), but \(known.settledSequence) was there")
        }
        var comparison = StreamComparison(
            known, identity: identity, timelines: timelines, isMending: source.isMending)
        var doubt = try checkProven(known, &comparison, source)
        if doubt == nil { doubt = try readChunk(&comparison, through: end, mayHaveUnknown, source) }
        if let doubt { return .doubtful(doubt, isMajorityCurrent: isMajorityCurrent) }
        return .read(comparison, end: end, Prevention.of(source.connection, info))
    }

    /// Messages that are looked at one by one, at most, where only a few strays can have come.
    private static let stepCount: UInt64 = 32

    /// Reads on behind what is settled, message by message, until none is there: quick enough that a flood of strays leaves time to publish between two of them.
    ///
    /// Where that is not the stream's end after all, what is published next is refused, and everything is read.
    /// - Returns: nil where more may be there, or something that has to be thought about.
    static func readSteps(
        behind known: KnownEnd, identity: SourceIdentity, timelines: TimelineHistory, _ source: Source<some StreamReader>
    ) throws(JetStreamError) -> (comparison: StreamComparison, end: UInt64)? {
        var comparison = StreamComparison(known, identity: identity, timelines: timelines)
        for sequence in known.settledSequence + 1...known.settledSequence + stepCount {
            guard let message = try source.connection.message(source.stream, sequence: sequence) else {
                return sequence > known.settledSequence + 1 ? (comparison, sequence - 1) : nil
            }
            let id = message.messageID.flatMap { MessageID($0) }
            guard let found = try? comparison.read(sequence, id, subject: message.subject) else { return nil }
            if found == .stray { source.onStray(sequence, message.subject) }
        }
        return nil
    }

    /// The proven message must be what it was, unless it is gone.
    private static func checkProven(
        _ known: KnownEnd, _ comparison: inout StreamComparison, _ source: Source<some StreamReader>
    ) throws(JetStreamError) -> Doubt? {
        guard known.storedID != nil,
            let message = try source.connection.message(source.stream, sequence: known.storedSequence)
        else { return nil }
        do throws(StreamComparison.Fault) {
            _ = try comparison.read(
                message.sequence, message.messageID.flatMap { MessageID($0) }, subject: message.subject)
            return nil
        } catch {
            return doubt(error, source.stream)
        }
    }

    /// Reads the next chunk.
    /// - Returns: What is wrong with it; nil: nothing.
    static func readChunk(
        _ comparison: inout StreamComparison, through end: UInt64, _ mayHaveUnknown: Bool, _ source: Source<some StreamReader>
    ) throws(JetStreamError) -> Doubt? {
        let first = comparison.readSequence + 1
        guard first <= end else { return nil }
        let last = min(end, comparison.readSequence + chunkCount)
        var fault: StreamComparison.Fault?
        var reading = comparison
        try source.connection.readHeaders(source.stream, first...last, consumer: consumer, isWanted: source.isWanted) {
            (sequence, messageID, subject) in
            do throws(StreamComparison.Fault) {
                let found = try reading.read(sequence, MessageID(header: messageID), subject: text(subject))
                if found == .stray { source.onStray(sequence, text(subject)) }
                return true
            } catch {
                fault = error
                return false
            }
        }
        guard source.isWanted() else { throw .timedOut(operation: "read stream \(source.stream)") }
        if let fault { return doubt(fault, source.stream) }
        // What retention took meanwhile is no hole; and where nothing of ours can be among it, what was deleted is none.
        let firstSequence = mayHaveUnknown ? try source.connection.streamInfo(source.stream)?.state.firstSequence ?? 0 : .max
        do throws(StreamComparison.Fault) {
            try reading.readAll(through: last, firstSequence: firstSequence)
        } catch {
            if case .deleted(let range) = error, range.upperBound == end { return gone(reading, end, source) }
            return doubt(error, source.stream)
        }
        comparison = reading
        let isEndUnknown = last == end && comparison.retiredAtEndCount > 0 && (mayHaveUnknown || comparison.next != nil)
        return isEndUnknown ? gone(comparison, end, source) : nil
    }

    /// What stood at the stream's end is gone, and was not compared.
    private static func gone(_ comparison: StreamComparison, _ end: UInt64, _ source: Source<some StreamReader>) -> Doubt {
        Doubt(
            reason: .streamPurged,
            what:
                "the last \(comparison.retiredAtEndCount) messages of stream \(source.stream) are gone (the last sequence is \(end)): their content is not known",
            remedy: LostHistory.remedy(for: .streamPurged))
    }

    private static func text(_ bytes: Span<UInt8>) -> String {
        bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }

    private static func doubt(_ fault: StreamComparison.Fault, _ stream: String) -> Doubt {
        switch fault {
        case .provenReplaced(let sequence, let found):
            Doubt(what: "sequence \(sequence) of stream \(stream) is another message now (\(found)): the stream lost its end and received other messages")
        case .deleted(let range):
            Doubt(
                reason: .holeFound,
                what:
                    "stream \(stream) lacks the sequences \(range.lowerBound) to \(range.upperBound), which were deleted before the streamer compared them",
                remedy: StreamHole.remedy)
        case .otherHistory(let id, let sequence):
            Doubt(
                reason: .historyDiverged,
                what: "sequence \(sequence) of stream \(stream) is \(id), which is not in the server's history",
                remedy: LostHistory.remedy(for: .historyDiverged))
        }
    }
}
