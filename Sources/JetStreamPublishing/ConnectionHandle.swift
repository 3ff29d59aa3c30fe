import CNats
import Glibc

/// Owns a `natsConnection` and the subscription of its inbox: both destroyed with their owner, on the owner's thread.
///
/// Destroying pushes out what is buffered (500 ms at most) and joins libnats' threads. A connection that libnats does not come back
/// from closing is left alone instead: every call on it would wait for ever.
struct ConnectionHandle: ~Copyable, @unchecked Sendable {
    // Sendable because libnats guards its handles with its own locks: every call on them may come from any thread. Destroying is the owner's alone, when
    // no call is under way: libnats' own threads have been joined before (see RetiredSubscriptions).

    /// The `natsConnection`.
    let pointer: OpaquePointer
    /// The `natsSubscription` that acks and answers come by.
    let inboxSubscription: OpaquePointer
    /// The inbox's subject without its last token.
    let inbox: String
    /// Subscriptions that came after the inbox's and are over.
    let retired: RetiredSubscriptions
    /// Tells whether `pointer` may still be called, and closes it.
    let probe: LockProbe

    deinit {
        guard probe.close() else { return }
        retired.end()
        natsSubscription_Destroy(inboxSubscription)
        natsConnection_Destroy(pointer)
    }
}

/// Owns a `natsMsg`, and is its only reader.
struct MessageHandle: ~Copyable {
    /// The `natsMsg`.
    let pointer: OpaquePointer

    /// Takes ownership.
    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { MessageLayout.destroy(pointer) }

    /// The payload; valid as long as the message.
    var body: UnsafeBufferPointer<UInt8> {
        guard let data = natsMsg_GetData(pointer) else { return UnsafeBufferPointer(start: nil, count: 0) }
        return UnsafeBufferPointer(
            start: UnsafeRawPointer(data).assumingMemoryBound(to: UInt8.self),
            count: Int(natsMsg_GetDataLength(pointer)))
    }

    /// The subject it came on; valid as long as the message.
    var subject: UnsafeBufferPointer<UInt8> { Self.bytes(natsMsg_GetSubject(pointer)) }

    /// The subject that answers go to, empty if there is none; valid as long as the message.
    var reply: UnsafeBufferPointer<UInt8> { Self.bytes(natsMsg_GetReply(pointer)) }

    /// The status of a message that the server made itself, such as 503 for "no responders"; nil for others.
    var status: Int? {
        var value: UnsafePointer<CChar>?
        guard natsMsgHeader_Get(pointer, "Status", &value) == NATS_OK, let value else { return nil }
        return Int(String(cString: value))
    }

    /// What the server says beside ``status``; empty: nothing.
    var statusText: String {
        var value: UnsafePointer<CChar>?
        guard natsMsgHeader_Get(pointer, "Description", &value) == NATS_OK, let value else { return "" }
        return String(cString: value)
    }

    /// The `Nats-Msg-Id`, or nil if it has none; valid as long as the message.
    var messageID: UnsafeBufferPointer<UInt8>? {
        var value: UnsafePointer<CChar>?
        guard natsMsgHeader_Get(pointer, "Nats-Msg-Id", &value) == NATS_OK, let value else { return nil }
        return Self.bytes(value)
    }

    /// How many messages a pull that has ended leaves undelivered; nil if the message does not say so.
    var pullRemainder: Int? {
        var value: UnsafePointer<CChar>?
        guard natsMsgHeader_Get(pointer, "Nats-Pending-Messages", &value) == NATS_OK, let value else { return nil }
        return Int(String(cString: value)).flatMap { $0 >= 0 ? $0 : nil }
    }

    /// A copy of the headers, in libnats' order.
    var headers: [StoredMessage.Header] {
        var keys: UnsafeMutablePointer<UnsafePointer<CChar>?>?
        var keyCount: CInt = 0
        guard natsMsgHeader_Keys(pointer, &keys, &keyCount) == NATS_OK, let keys else { return [] }
        defer { free(keys) }
        var headers: [StoredMessage.Header] = []
        for key in UnsafeBufferPointer(start: keys, count: Int(keyCount)) {
            guard let key else { continue }
            var values: UnsafeMutablePointer<UnsafePointer<CChar>?>?
            var valueCount: CInt = 0
            guard natsMsgHeader_Values(pointer, key, &values, &valueCount) == NATS_OK, let values else { continue }
            defer { free(values) }
            for value in UnsafeBufferPointer(start: values, count: Int(valueCount)) {
                headers.append(
                    StoredMessage.Header(name: String(cString: key), value: value.map { String(cString: $0) } ?? ""))
            }
        }
        return headers
    }

    private static func bytes(_ text: UnsafePointer<CChar>?) -> UnsafeBufferPointer<UInt8> {
        guard let text else { return UnsafeBufferPointer(start: nil, count: 0) }
        return UnsafeBufferPointer(
            start: UnsafeRawPointer(text).assumingMemoryBound(to: UInt8.self), count: strlen(text))
    }
}
