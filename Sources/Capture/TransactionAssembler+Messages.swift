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
            try receivedMessage(at: message.lsn)
            position = Position(commitLSN: message.lsn, ordinal: 0)
            if let watermark, position <= watermark { return }
        }
        // Other prefixes are other programs' messages; they have been counted.
        let prefix = bytes.withUnsafeBytes { all in
            let prefix = UnsafeRawBufferPointer(rebasing: all[message.prefix.start..<message.prefix.end])
            // The counts first: a prefix may have a gigabyte.
            return configuration.messagePrefixes.first { $0.utf8.count == prefix.count && $0.utf8.elementsEqual(prefix) }
        }
        guard let prefix else { return }

        encoder.close(isLast: false, into: &sink)
        if !message.isTransactional {
            encoder.beginTransaction(
                identity: identity, timeline: timelines.timeline(of: position), xid: .none,
                commitLSN: message.lsn, commitTimestamp: sendTime)
        }
        let failure = bytes.withUnsafeBytes { all in
            open(
                UnsafeRawBufferPointer(rebasing: all[message.content.start..<message.content.end]), prefix: prefix,
                at: position)
        }
        if let failure { throw error(failure, at: position, relation: Self.relation(ofPrefix: prefix)) }
        if !message.isTransactional { encoder.close(isLast: true, into: &sink) }
    }

    /// Encodes a logical message by the policy for poison; the failure if even that is not possible.
    private mutating func open(
        _ body: UnsafeRawBufferPointer, prefix: String, at position: Position
    ) -> EncodingFailure? {
        do throws(EncodingFailure) {
            try open(body, at: position, omittedData: nil)
            return nil
        } catch {
            guard case .poison(let reason) = error else { return error }
            return openPoison(reason, body, prefix: prefix, at: position)
        }
    }

    /// How errors name a message.
    static func relation(ofPrefix prefix: String) -> String { "logical message \(prefix)" }

    /// Encodes a logical message's event, without its data where `omittedData` says why.
    mutating func open(
        _ body: UnsafeRawBufferPointer, at position: Position, omittedData: PoisonReason?
    ) throws(EncodingFailure) {
        let limit = encoder.payloadLimit
        // The event has what the body has: a large one is not even read.
        guard body.count <= limit || omittedData != nil else {
            throw .poison(.payloadTooLarge(sentByteCount: body.count, limit: limit))
        }
        let event: LogicalMessageEvent
        do throws(PoisonReason) {
            event = try LogicalMessageEvent(body, byteCountLimit: limit, omittedData: omittedData)
        } catch {
            throw .poison(error)
        }
        let subject = SubjectPlan(
            template, prefix: configuration.subjectPrefix, database: identity.databaseName, schema: nil, table: nil,
            entity: event.entityType, operation: event.operation, columnIndex: { _ in nil })
        let layout = configuration.format.layout
        let plan = EventEncoder.MessagePlan(
            subject: subject.fixed ?? subject.unknownColumns,
            opening: layout.opening(entity: event.entityType, operation: event.operation, identity: identity),
            tail: layout.tail(source: JSONText.source(database: identity.databaseName)),
            kindIndex: kindIndex(entity: event.entityType, operation: event.operation))
        try encoder.openMessage(event, plan: plan, ordinal: position.ordinal, sentByteCount: body.count)
    }
}
