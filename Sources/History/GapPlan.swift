package import Capture
package import WAL

/// Where a stream goes on over lost history, and what is missing from it. Pure: the same answer for the same facts.
package struct GapPlan: Equatable {
    /// What the marker's id names: everything at or below it is stored or given up, everything behind it will be stored.
    package var position: MessageID
    /// Before it the stream is whole; 0/0: nobody knows.
    package var fromLSN: LSN
    /// From there on everything will be stored. Not beyond `fromLSN`: no change was lost, only the knowledge of it.
    package var toLSN: LSN
    /// Where the stream began, and those before it that were given up; 0/0: nobody knows.
    package var firstLSN: LSN

    /// - Parameters:
    ///   - slotLSN: Where the slot stands that will be streamed from.
    ///   - lastPresent: The last message that is in the stream, which need not be the one at its last sequence.
    package init(_ facts: Recovery.Facts, slotLSN: LSN, lastPresent: MessageID?) {
        let record = facts.record.flatMap { $0.streamCreated == facts.stream?.created ? $0 : nil }
        // Once the stream's end is lost, what the record says was stored is no proof: it is sent again, or lost.
        let proof = record.flatMap { $0.lastSequence <= (facts.stream?.lastSequence ?? 0) ? $0 : nil }
        let stored = [lastPresent, proof?.lastMessageID].compactMap { $0 }.max { $0.position < $1.position }

        let slotPosition = Position(commitLSN: slotLSN, ordinal: 0)
        if let stored, stored.position > slotPosition {
            // A slot can lag behind its stream: what is stored must not be sent again.
            position = stored
        } else {
            position = MessageID(
                systemID: facts.identity.systemID, databaseOID: facts.identity.databaseOID,
                timeline: facts.timelines.timeline(containing: slotLSN), transactionID: .none, position: slotPosition)
        }
        let known = [stored?.position.commitLSN, proof.map { Recovery.confirmed($0, facts) }].compactMap { $0 }.max()
        // Without a message of it the stream is whole as far as nothing was ever to be stored.
        firstLSN = facts.record?.firstLSN ?? .invalid
        fromLSN = known ?? firstLSN
        toLSN = max(fromLSN, slotLSN)
    }

    /// What forbids to go on, whatever the reason of the loss is: another writer, another server or history. nil: nothing.
    package static func refusal(_ facts: Recovery.Facts, lastPresent: LastPresent) -> Recovery.Outcome? {
        if let record = facts.record, let refusal = Recovery.refusal(ofRecord: record, facts) { return refusal }
        switch lastPresent {
        case .none: break
        case .another(let id, let sequence): return Recovery.foreign("of another database (\(id))", sequence, facts)
        case .event(let id, _):
            if let refusal = Recovery.refusal(ofLast: id, facts) { return refusal }
        }
        return facts.record?.lastMessageID.flatMap { Recovery.refusal(ofLast: $0, facts) }
    }
}
