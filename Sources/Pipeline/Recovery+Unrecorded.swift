import Capture

/// Messages in a stream of which no finished record tells: whose they are, and what can be done.
extension Recovery {
    /// What forbids a first start for what the stream holds; nil: it was never written to, or an interrupted setup was to begin behind all of it.
    static func refusal(ofUnrecorded facts: Facts) -> Outcome? {
        guard let stream = facts.stream, stream.message != .never else { return nil }
        if let claim = facts.record, claim.streamCreated == stream.created, stream.lastSequence <= claim.settled {
            return nil
        }
        switch facts.unrecorded {
        case .event(let id, _):
            return lost(
                .slotMissing,
                "stream \(facts.streamName) holds events up to \(id.position), but there is neither slot \(facts.configuredSlot) nor a checkpoint record: what was committed after them cannot be read any more"
            )
        case .another(let id, let sequence):
            return .refuse(
                .foreignMessage,
                what:
                    "stream \(facts.streamName) holds events of another Slotstream: sequence \(sequence) is of database \(id.databaseOID) of the server with the system identifier \(id.systemID)",
                remedy:
                    "A stream belongs to one slot. Choose another transport.nats.stream_name and another subject_prefix. Then run `slotstream setup`",
                isConfirmedByTime: false)
        case .none: return stream.messageCount > 0 ? foreign(stream, facts) : emptied(stream, facts)
        }
    }

    /// Whether the only thing in the way of beginning is what the stream holds, none of it ours as far as was looked: `--after-foreign` may.
    static func mayBeginAfterForeign(_ facts: Facts) -> Bool {
        guard facts.unrecorded == .none, let stream = facts.stream, stream.message != .never else { return false }
        return facts.record?.isClaim ?? true
    }

    /// How a slot that was made by hand is taken, as a clause.
    static func adoption(_ facts: Facts) -> String {
        guard mayBeginAfterForeign(facts), let stream = facts.stream else {
            return "`slotstream setup --adopt-slot` takes the slot as it stands"
        }
        return
            "`slotstream setup --adopt-slot --after-foreign` takes the slot as it stands, and begins behind \(messages(stream)) of another writer in stream \(facts.streamName)"
    }

    /// "3 messages".
    static func messages(_ stream: StreamTail) -> String {
        stream.messageCount == 1 ? "1 message" : "\(stream.messageCount) messages"
    }

    private static func foreign(_ stream: StreamTail, _ facts: Facts) -> Outcome {
        var newest = ""
        if case .foreign(let subject) = stream.message { newest = " (the newest is on \(ShownText.cut(subject)), sequence \(stream.lastSequence))" }
        return .refuse(
            .foreignMessage,
            what:
                "stream \(facts.streamName) holds \(messages(stream)) of another writer\(newest), and no event of Slotstream",
            remedy:
                "1. Stop the other writer. FraiseQL is one while its fraiseql.toml says `backend = \"nats\"` under [observers]: change that line to `backend = \"postgresql\"` and restart FraiseQL. 2. Run `slotstream setup --after-foreign`: Slotstream begins behind these messages and leaves them in the stream. Or give Slotstream a stream of its own: change transport.nats.stream_name and transport.nats.subject_prefix, then run `slotstream setup`",
            isConfirmedByTime: false)
    }

    private static func emptied(_ stream: StreamTail, _ facts: Facts) -> Outcome {
        lost(
            .slotMissing,
            "stream \(facts.streamName) is empty, but held messages up to sequence \(stream.lastSequence), and nobody knows whose they were: there is neither slot \(facts.configuredSlot) nor a checkpoint record",
            remedy:
                "If another writer stored them, such as FraiseQL's own NATS backend, stop the other writer and run `slotstream setup --after-foreign`: Slotstream begins behind them. If Slotstream stored them: \(LostHistory.remedy(for: .slotMissing))"
        )
    }
}
