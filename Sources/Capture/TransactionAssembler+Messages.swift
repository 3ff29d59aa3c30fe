import PGOutput
import WAL

/// Logical messages as events.
extension TransactionAssembler {
    /// Publishes a message whose prefix is configured; ignores the others, whose ordinals count all the same.
    mutating func logicalMessage(
        _ message: LogicalMessage, _ bytes: RawSpan, _ sendTime: PostgresTimestamp,
        _ sink: inout some EventSink & ~Copyable
    ) throws(CaptureError) {
        let position: Position
        if message.isTransactional {
            guard let next = try nextPosition() else { return }
            position = next
        } else {
            guard current == nil else { throw violation("a non-transactional message inside a transaction") }
            position = Position(commitLSN: message.lsn, ordinal: 0)
            if let watermark, position <= watermark { return }
            // Beyond the transaction that had to come first: that one is not in this history.
            if let expected { throw expected.diverged(foundLSN: message.lsn, foundXID: .none) }
        }
        // Other prefixes are other programs' messages; they have been counted.
        let prefix = bytes.withUnsafeBytes { all in
            String(decoding: all[message.prefix.start..<message.prefix.end], as: UTF8.self)
        }
        guard configuration.messagePrefixes.contains(where: { $0.utf8.elementsEqual(prefix.utf8) }) else { return }

        encoder.close(isLast: false, into: &sink)
        if !message.isTransactional {
            encoder.beginTransaction(
                identity: identity, timeline: timelines.timeline(containing: message.lsn), xid: .none,
                commitLSN: message.lsn, commitTimestamp: sendTime)
        }
        let reason = bytes.withUnsafeBytes { all in
            open(UnsafeRawBufferPointer(rebasing: all[message.content.start..<message.content.end]), at: position)
        }
        if let reason { throw .poison(reason, at: position, relation: "logical message \(prefix)") }
        if !message.isTransactional { encoder.close(isLast: true, into: &sink) }
    }

    /// Encodes a logical message by the policy for poison; the reason if even that is not possible.
    private mutating func open(_ body: UnsafeRawBufferPointer, at position: Position) -> PoisonReason? {
        do throws(PoisonReason) {
            try open(LogicalMessageEvent(body), at: position)
            return nil
        } catch {
            // A body that is no event has no entity to refer to: only one that is too large can do without its data.
            guard case .payloadTooLarge = error, configuration.poisonPolicy == .reference else { return error }
            let omitted = error
            do throws(PoisonReason) {
                try open(LogicalMessageEvent(body, omittedData: omitted), at: position)
                return nil
            } catch {
                return error
            }
        }
    }

    private mutating func open(_ event: LogicalMessageEvent, at position: Position) throws(PoisonReason) {
        let subject = SubjectPlan(
            template, prefix: configuration.subjectPrefix, database: identity.databaseName, schema: nil, table: nil,
            entity: event.entityType, operation: event.operation, columnIndex: { _ in nil })
        try encoder.openMessage(
            event, subject: subject.fixed ?? subject.unknownColumns, tail: messageTail, ordinal: position.ordinal,
            kindIndex: kindIndex(entity: event.entityType, operation: event.operation))
    }

    private var messageTail: [UInt8] {
        Array("},\"source\":{\"database\":".utf8) + JSONText.string(identity.databaseName) + Array("}}".utf8)
    }
}
