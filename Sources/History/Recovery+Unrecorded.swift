import Capture

/// Messages in a stream of which no finished record tells: whose they are, and what can be done.
extension Recovery {
    /// What forbids a first start for what the stream holds; nil: it was never written to, or an interrupted setup was to begin behind all of it.
    package static func refusal(ofUnrecorded facts: Facts) -> Outcome? {
        guard let stream = facts.stream, stream.message != .never else { return nil }
        if let claim = facts.record, claim.streamCreated == stream.created, stream.lastSequence <= claim.settled {
            return nil
        }
        switch facts.unrecorded {
        case .event(let id, _):
            return lost(
                .slotMissing,
                "stream \(facts.streamName) holds events up to \(id.position), but there is neither slot \(facts.configuredSlot) nor a checkpoint record: later changes can no longer be read"
            )
        case .another(let id, let sequence):
            return .refuse(
                .foreignMessage,
                what:
                    "stream \(facts.streamName) holds events of another Slotstream: sequence \(sequence) is of database \(id.databaseOID) of the server with the system identifier \(id.systemID)",
                remedy:
                    Steps.text(
                        "A stream belongs to one slot",
                        [
                            "Set another transport.nats.stream_name and another transport.nats.subject_prefix",
                            "Create the slot and the stream: `slotstream setup`",
                        ]),
                isConfirmedByTime: false)
        case .none: return stream.messageCount > 0 ? foreign(stream, facts) : emptied(stream, facts)
        }
    }

    /// Whether the only thing in the way of beginning is what the stream holds, none of it ours as far as was looked: `--after-foreign` may.
    package static func mayBeginAfterForeign(_ facts: Facts) -> Bool {
        guard facts.unrecorded == .none, let stream = facts.stream, stream.message != .never else { return false }
        return facts.record?.isClaim ?? true
    }

    /// The command that takes a slot which was made by hand.
    package static func adoption(_ facts: Facts) -> String {
        "slotstream setup --adopt-slot" + (mayBeginAfterForeign(facts) ? " --after-foreign" : "")
    }

    /// "3 messages".
    package static func messages(_ stream: StreamTail) -> String {
        stream.messageCount == 1 ? "1 message" : "\(stream.messageCount) messages"
    }

    private static func foreign(_ stream: StreamTail, _ facts: Facts) -> Outcome {
        var newest = ""
        if case .foreign(let subject) = stream.message { newest = " (the newest is on \(ShownText.cut(subject)), sequence \(stream.lastSequence))" }
        return .refuse(
            .foreignMessage,
            what:
                "stream \(facts.streamName) holds \(messages(stream)) of another writer\(newest), and no event of Slotstream",
            remedy: LostHistory.remedyForForeignMessages, isConfirmedByTime: false)
    }

    private static func emptied(_ stream: StreamTail, _ facts: Facts) -> Outcome {
        lost(
            .slotMissing,
            "stream \(facts.streamName) is empty, but held messages up to sequence \(stream.lastSequence), and the writer of these messages is not known: there is neither slot \(facts.configuredSlot) nor a checkpoint record",
            remedy: LostHistory.remedyForEmptiedStream)
    }
}
