import CNats
import Synchronization

extension JetStreamConnection {
    /// The payload that server and stream take, less the headers.
    /// - Parameters:
    ///   - messageSizeLimit: The stream's; nil: it has none.
    ///   - messageIDByteCount: Of an id, at most.
    public func payloadLimit(messageSizeLimit: Int?, messageIDByteCount: Int, isBatched: Bool) -> Int {
        let headerByteCount = Self.headerByteCount(
            messageIDByteCount: messageIDByteCount, previousMessageIDByteCount: messageIDByteCount, isBatched: isBatched)
        return max(0, min(maxPayload, messageSizeLimit ?? .max) - headerByteCount)
    }

    /// The bytes that headers add to a payload, at most: what `maxPayload` must also hold.
    ///
    /// - Parameter previousMessageIDByteCount: nil: the previous message's id is not expected.
    public static func headerByteCount(
        messageIDByteCount: Int, previousMessageIDByteCount: Int? = nil, isBatched: Bool = false
    ) -> Int {
        let fixed = "NATS/1.0\r\nNats-Msg-Id: \r\nNats-Expected-Last-Sequence: \r\n\r\n".utf8.count
        let batch = "Nats-Batch-Id: \r\nNats-Batch-Sequence: \r\nNats-Batch-Commit: 1\r\n".utf8.count + 16 + 20
        let previous = previousMessageIDByteCount.map { "Nats-Expected-Last-Msg-Id: \r\n".utf8.count + $0 } ?? 0
        return fixed + messageIDByteCount + 20 + previous + (isBatched ? batch : 0)
    }

    /// Hands one message to libnats ("accepted"): stored it is only by its ack, which comes to the mailbox under `token`
    /// and `epoch`.
    ///
    /// - Parameters:
    ///   - subject: No white space or control characters; 3,900 bytes at most.
    ///   - messageID: `Nats-Msg-Id`; printable ASCII, 1,024 bytes at most.
    ///   - expectedLastSequence: `Nats-Expected-Last-Sequence`, always sent, 0 on a new stream.
    ///   - token: The sequence that the message must get.
    ///   - previousMessageID: `Nats-Expected-Last-Msg-Id`, the id that the stream's last message must have; nil: not sent. Only where the stream has no
    ///     replicas and can get none: on replicated streams of 2.14 and later one refusal by it is the stream's end.
    /// - Throws: `.notConnected` at once when there is no link, and after the write deadline when the socket stays full: the
    ///   message may be on its way all the same. `.payloadTooLarge` and `.invalidMessage` concern this message only.
    public func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        token: UInt64, epoch: UInt32, previousMessageID: Span<UInt8>? = nil
    ) throws(JetStreamError) {
        try scratch.withLock { (scratch) throws(JetStreamError) in
            try scratch.setSubject(subject)
            scratch.setReply(AckReply(epoch: epoch, token: token))
            try scratch.beginHeaders(messageID: messageID)
            scratch.addHeader("Nats-Expected-Last-Sequence: ", expectedLastSequence)
            if let previousMessageID {
                try scratch.addHeader("Nats-Expected-Last-Msg-Id: ", messageID: previousMessageID)
            }
            scratch.endHeaders()
            try publish(&scratch, payload, isAnswered: true)
        }
    }

    /// Hands one message of an atomic batch to libnats.
    ///
    /// Only the first carries `expectedLastSequence`, as the server wants it; only the last is answered, and its ack
    /// stands for the whole batch: `token` is the sequence that the *last* message must get.
    /// - Throws: As ``publish(subject:messageID:payload:expectedLastSequence:token:epoch:previousMessageID:)``.
    public func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        token: UInt64, epoch: UInt32, batch: BatchMember
    ) throws(JetStreamError) {
        try scratch.withLock { (scratch) throws(JetStreamError) in
            try scratch.setSubject(subject)
            scratch.setReply(AckReply(epoch: epoch, token: token))
            try scratch.beginHeaders(messageID: messageID)
            if batch.ordinal == 1 { scratch.addHeader("Nats-Expected-Last-Sequence: ", expectedLastSequence) }
            scratch.addHeader("Nats-Batch-Id: ", batch.batch)
            scratch.addHeader("Nats-Batch-Sequence: ", UInt64(max(0, batch.ordinal)))
            if batch.isLast { scratch.addHeader("Nats-Batch-Commit: ", 1) }
            scratch.endHeaders()
            try publish(&scratch, payload, isAnswered: batch.isLast)
        }
    }

    /// Hands one message of a fast batch to libnats.
    ///
    /// What is stored comes to the mailbox as ranges of tokens, `base + n` for the `n`-th message, and ``PublishOutcome/fastBatchEnded(token:)`` behind the last; read
    /// ``FastBatchMember`` for when to send what.
    /// - Parameter expectedLastSequence: `base + n - 1`, always sent: what makes the server refuse the first message that a stray displaced, and end the batch.
    /// - Throws: As ``publish(subject:messageID:payload:expectedLastSequence:token:epoch:previousMessageID:)``.
    public func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        epoch: UInt32, fastBatch: FastBatchMember
    ) throws(JetStreamError) {
        try scratch.withLock { (scratch) throws(JetStreamError) in
            try scratch.setSubject(subject)
            scratch.setReply(
                FastBatchReply(
                    epoch: epoch, base: fastBatch.base, ordinal: fastBatch.ordinal, operation: fastBatch.step.rawValue))
            try scratch.beginHeaders(messageID: messageID)
            scratch.addHeader("Nats-Expected-Last-Sequence: ", expectedLastSequence)
            scratch.endHeaders()
            try publish(&scratch, payload, isAnswered: true)
        }
    }

    /// Ends the fast batch behind its last message, storing nothing; answered as its last message would be.
    ///
    /// - Parameters:
    ///   - ordinal: The last message's.
    ///   - subject: Any that the stream captures.
    /// - Throws: As ``publish(subject:messageID:payload:expectedLastSequence:token:epoch:previousMessageID:)``.
    public func endFastBatch(
        base: UInt64, ordinal: UInt64, subject: Span<UInt8>, epoch: UInt32
    ) throws(JetStreamError) {
        let link = try linkWord()
        try scratch.withLock { (scratch) throws(JetStreamError) in
            try scratch.setSubject(subject)
            // The server counts it, and takes that back.
            scratch.setReply(
                FastBatchReply(
                    epoch: epoch, base: base, ordinal: ordinal + 1, operation: FastBatchReply.endOperation))
            let message = try Self.message(scratch.subject, scratch.reply, [UInt8]().span)
            try publish(message.pointer, payloadByteCount: 0, link: link)
        }
    }

    /// Publishes with any headers; the ack comes to the mailbox under `token`, which for key-value puts and the like has
    /// ``AckMailbox/controlBit``.
    ///
    /// - Throws: As ``publish(subject:messageID:payload:expectedLastSequence:token:epoch:previousMessageID:)``.
    public func publish(
        subject: String, payload: [UInt8], headers: [(String, String)], token: UInt64, epoch: UInt32 = 0
    ) throws(JetStreamError) {
        try send(subject, payload, headers) { $0.setReply(AckReply(epoch: epoch, token: token)) }
    }

    /// Publishes one message and waits until it is stored.
    ///
    /// - Returns: Its sequence.
    /// - Throws: `.api` for what JetStream refuses; `.malformedResponse` for an ack of another stream, or of a message that was stored
    ///   before. After `.timedOut` or `.notConnected` it is not known whether it was stored: read the stream.
    public func store(
        _ payload: [UInt8], on subject: String, headers: [(String, String)], in stream: String,
        timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> UInt64 {
        let (sequence, isNew) = try storeOnce(payload, on: subject, headers: headers, in: stream, timeout: timeout)
        guard isNew else { throw .malformedResponse(operation: subject) }
        return sequence
    }

    /// The same for a message that may have been stored before, as its `Nats-Msg-Id` tells within the stream's duplicate window.
    ///
    /// - Parameter stream: nil: whichever captures the subject.
    /// - Returns: Its sequence, and whether it was stored now.
    public func storeOnce(
        _ payload: [UInt8], on subject: String, headers: [(String, String)], in stream: String?, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> (sequence: UInt64, isNew: Bool) {
        let (ack, _): (StoredAck, [UInt8]) = try call(subject, payload, headers: headers, timeout: timeout)
        guard stream.map({ ack.stream == $0 }) ?? true, ack.seq > 0 else { throw .malformedResponse(operation: subject) }
        return (ack.seq, ack.duplicate != true)
    }

    private struct StoredAck: Decodable {
        var stream: String
        var seq: UInt64
        var duplicate: Bool?
    }

    /// Publishes with any headers to a reply subject that `setReply` completes.
    func send(
        _ subject: String, _ payload: [UInt8], _ headers: [(String, String)],
        setReply: (borrowing PublishScratch) -> Void
    ) throws(JetStreamError) {
        let link = try linkWord()
        let subjectBytes = Array(subject.utf8)
        try scratch.withLock { (scratch) throws(JetStreamError) in
            try scratch.setSubject(subjectBytes.span)
            setReply(scratch)
            let message = try Self.message(scratch.subject, scratch.reply, payload.span)
            for (name, value) in headers {
                guard Self.isHeaderName(name), value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                    throw JetStreamError.invalidMessage("a header name or value with control characters")
                }
                try NatsStatus.check(natsMsgHeader_Set(message.pointer, name, value), "publish")
            }
            try publish(message.pointer, payloadByteCount: payload.count, link: link)
        }
    }

    /// Publishes what is answered to an inbox of the caller's, or not at all.
    func publish(_ subject: String, _ payload: [UInt8], reply: String?) throws(JetStreamError) {
        let link = try linkWord()
        let message = try Self.message(subject, reply, payload.span)
        try publish(message.pointer, payloadByteCount: payload.count, link: link)
    }

    /// Publishes what `scratch` holds.
    private func publish(
        _ scratch: inout PublishScratch, _ payload: Span<UInt8>, isAnswered: Bool
    ) throws(JetStreamError) {
        let link = try linkWord()
        guard laysOutMessages else { return try publishByLibnats(&scratch, payload, isAnswered: isAnswered, link) }
        guard let byteCount = Int32(exactly: payload.count) else {
            throw .payloadTooLarge(byteCount: payload.count, limit: Int(Int32.max))
        }
        var message = slotstream_nats_message()
        message.subject = UnsafePointer(scratch.subject)
        message.reply = isAnswered ? UnsafePointer(scratch.reply) : nil
        message.header_bytes = scratch.headers
        message.header_length = Int32(truncatingIfNeeded: scratch.headersByteCount)
        message.flags = Int32(SLOTSTREAM_NATS_HEADERS_UNREAD)
        message.data_length = byteCount
        try payload.withUnsafeBytes { (bytes) throws(JetStreamError) in
            message.data = bytes.bindMemory(to: CChar.self).baseAddress
            try withUnsafeMutablePointer(to: &message) { (pointer) throws(JetStreamError) in
                try publish(OpaquePointer(pointer), payloadByteCount: payload.count, link: link)
            }
        }
    }

    /// The same by the public interface alone: libnats copies everything, and keeps the headers in a table.
    private func publishByLibnats(
        _ scratch: inout PublishScratch, _ payload: Span<UInt8>, isAnswered: Bool, _ link: UInt64
    ) throws(JetStreamError) {
        let message = try Self.message(scratch.subject, isAnswered ? scratch.reply : nil, payload)
        try scratch.takeHeaders { (name, value) throws(JetStreamError) in
            try NatsStatus.check(natsMsgHeader_Set(message.pointer, name, value), "publish")
        }
        try publish(message.pointer, payloadByteCount: payload.count, link: link)
    }

    private static func isHeaderName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
    }

    private func linkWord() throws(JetStreamError) -> UInt64 {
        let word = state.linkWord
        guard word & 1 == 1 else { throw state.absence }
        return word
    }

    /// A message with a copy of everything.
    private static func message(
        _ subject: UnsafePointer<CChar>, _ reply: UnsafePointer<CChar>?, _ payload: Span<UInt8>
    ) throws(JetStreamError) -> MessageHandle {
        guard let byteCount = Int32(exactly: payload.count) else {
            throw .payloadTooLarge(byteCount: payload.count, limit: Int(Int32.max))
        }
        var message: OpaquePointer?
        let status = payload.withUnsafeBytes { bytes in
            natsMsg_Create(&message, subject, reply, bytes.bindMemory(to: CChar.self).baseAddress, byteCount)
        }
        guard status == NATS_OK, let message else { throw NatsStatus.error(status, "publish") }
        return MessageHandle(message)
    }
}
