package import Capture

/// Events that the stream lacks, with later ones behind them: what the operator is told.
package enum StreamHole {
    /// Ids that are named one by one.
    package static let namedCount = 100

    package static let remedy = Steps.text(
        "Nothing was skipped, and nothing is lost: the slot still has the missing events. Consumers will read these events late",
        [
            "Keep every other client from publishing to the prefix",
            "Show the missing events: `slotstream mend --dry-run`",
            "Store the missing events behind the stream's end, with a marker for consumers: `slotstream mend --by NAME`",
            "Start the streamer: `slotstream run`",
        ])

    /// The stop for events that are missing before a message of ours.
    /// - Parameter isWhole: Whether these are all; else at least these.
    package static func error(
        missing: [MessageID], isWhole: Bool, before next: StreamComparison.Stored, stream: String, stray: Stray?
    ) -> StreamerError {
        let named = missing.prefix(namedCount).map(\.description).joined(separator: " ")
        let more = missing.count > namedCount ? " …" : ""
        let cause = stray.map { "; sequence \($0.sequence) (\($0.subject)) is another writer's" } ?? ""
        return .stop(
            .holeFound,
            what:
                "stream \(stream) lacks \(isWhole ? "" : "at least ")\(missing.count) \(missing.count == 1 ? "event" : "events") before sequence \(next.sequence) (\(next.position))\(cause): \(named)\(more)",
            remedy: remedy)
    }

    /// The stop for a message with an id of ours that the slot does not decode.
    package static func undecoded(_ stored: StreamComparison.Stored, stream: String) -> StreamerError {
        let what =
            stored.position.ordinal == 0
            ? "a message outside transactions at \(stored.position.commitLSN)"
            : "transaction \(stored.transactionID) at \(stored.position)"
        return .stop(
            .historyDiverged,
            what:
                "stream \(stream) goes on with \(what) (sequence \(stored.sequence)), but the server does not have this change: the server has another history, or the message id is forged",
            remedy: LostHistory.remedyIfForged(.historyDiverged))
    }

    /// The stop for a transaction that has the position and the xid of a stored one, and is another.
    package static func otherTime(_ sequence: UInt64, _ decoded: EventHeader, stream: String) -> StreamerError {
        .stop(
            .historyDiverged,
            what:
                "stream \(stream) holds transaction \(decoded.transactionID) at \(decoded.position) (sequence \(sequence)), but the server sent a transaction that was committed at another time (\(decoded.commitTimestamp))",
            remedy: LostHistory.remedy(for: .historyDiverged))
    }
}
