import Capture

/// Events that the stream lacks, with later ones behind them: what the operator is told.
enum StreamHole {
    /// Ids that are named one by one.
    static let namedCount = 100

    static let remedy =
        "Nothing was passed over, and nothing is lost: the slot still has what is missing. Keep everybody else from publishing to the prefix, then `slotstream mend --by NAME` stores the missing events behind the stream's end, with a marker that consumers read; where their order is essential, begin a new stream instead"

    /// What helps where an id is forged, and would be wrong anywhere else.
    static let forgedRemedy =
        "Only if that message is forged, and the server was neither restored nor promoted: keep everybody else from publishing to the prefix, then `slotstream mend --by NAME` goes on behind it, with a marker that consumers read"

    /// The stop for events that are missing before a message of ours.
    /// - Parameter isWhole: Whether these are all; else at least these.
    static func error(
        missing: [MessageID], isWhole: Bool, before next: StreamComparison.Stored, stream: String, stray: Stray?
    ) -> StreamerError {
        let named = missing.prefix(namedCount).map(\.description).joined(separator: " ")
        let more = missing.count > namedCount ? " …" : ""
        let cause = stray.map { "; sequence \($0.sequence) (\($0.subject)) is somebody else's" } ?? ""
        return .stop(
            .holeFound,
            what:
                "stream \(stream) lacks \(isWhole ? "" : "at least ")\(missing.count) \(missing.count == 1 ? "event" : "events") before sequence \(next.sequence) (\(next.position))\(cause): \(named)\(more)",
            remedy: remedy)
    }

    /// The stop for a message with an id of ours that the slot does not decode.
    static func undecoded(_ stored: StreamComparison.Stored, stream: String) -> StreamerError {
        let what =
            stored.position.ordinal == 0
            ? "a message outside transactions at \(stored.position.commitLSN)"
            : "transaction \(stored.transactionID) at \(stored.position)"
        return .stop(
            .historyDiverged,
            what:
                "stream \(stream) goes on with \(what) (sequence \(stored.sequence)), and the server has nothing of it: its history is another one, or somebody forged the message's id",
            remedy:
                "\(LostHistory.remedy(for: .historyDiverged)). \(forgedRemedy)")
    }

    /// The stop for a transaction that has the position and the xid of a stored one, and is another.
    static func otherTime(_ sequence: UInt64, _ decoded: EventHeader, stream: String) -> StreamerError {
        .stop(
            .historyDiverged,
            what:
                "stream \(stream) holds transaction \(decoded.transactionID) at \(decoded.position) (sequence \(sequence)), and the server sent one that was committed at another time (\(decoded.commitTimestamp))",
            remedy: LostHistory.remedy(for: .historyDiverged))
    }
}
