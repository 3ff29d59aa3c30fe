/// The NUL-terminated strings that libnats wants for one publish, built in memory that is kept.
///
/// libnats copies them; nothing here is read after the call.
struct PublishScratch: ~Copyable {
    /// The server reads `HPUB subject reply sizes` as one line of at most 4,096 bytes.
    static let subjectByteCountLimit = 3_900
    /// Header values of ours are short; the server takes 64 KiB of headers.
    static let messageIDByteCountLimit = 1_024

    private static let numberByteCount = 21

    private let memory: UnsafeMutableBufferPointer<CChar>
    private let replyTail: Int

    /// The subject, after ``setSubject(_:)``.
    let subject: UnsafeMutablePointer<CChar>
    /// The message id, after ``setMessageID(_:)``.
    let messageID: UnsafeMutablePointer<CChar>
    /// A decimal number, after ``setNumber(_:)``.
    let number: UnsafeMutablePointer<CChar>
    /// The reply subject, after ``setReply(_:)`` or ``setRequest(_:)``.
    let reply: UnsafeMutablePointer<CChar>

    /// Memory for publishes whose answers go to `<inbox>.<token>`; nil if there is none.
    init?(inbox: String) {
        let prefix = Array((inbox + ".").utf8)
        let subjectCapacity = Self.subjectByteCountLimit + 1
        let idCapacity = Self.messageIDByteCountLimit + 1
        let capacity = subjectCapacity + idCapacity + Self.numberByteCount + prefix.count + AckReply.byteCount + 1
        memory = UnsafeMutableBufferPointer<CChar>.allocate(capacity: capacity)
        memory.initialize(repeating: 0)
        guard let start = memory.baseAddress else {
            memory.deallocate()
            return nil
        }
        subject = start
        messageID = start + subjectCapacity
        number = messageID + idCapacity
        reply = number + Self.numberByteCount
        replyTail = prefix.count
        for (index, byte) in prefix.enumerated() { reply[index] = CChar(bitPattern: byte) }
    }

    deinit { memory.deallocate() }

    /// Copies `bytes`, refusing what would end the protocol line or a C string. UTF-8 passes.
    func setSubject(_ bytes: Span<UInt8>) throws(JetStreamError) {
        guard bytes.count > 0, bytes.count <= Self.subjectByteCountLimit else {
            throw .invalidMessage("a subject of \(bytes.count) bytes (limit \(Self.subjectByteCountLimit))")
        }
        for index in 0..<bytes.count {
            let byte = bytes[index]
            guard byte > 0x20, byte != 0x7F else {
                throw .invalidMessage("white space or a control character in the subject")
            }
            subject[index] = CChar(bitPattern: byte)
        }
        subject[bytes.count] = 0
    }

    /// Copies `bytes`, refusing all that is not printable ASCII.
    func setMessageID(_ bytes: Span<UInt8>) throws(JetStreamError) {
        guard bytes.count > 0, bytes.count <= Self.messageIDByteCountLimit else {
            throw .invalidMessage("a message id of \(bytes.count) bytes (limit \(Self.messageIDByteCountLimit))")
        }
        for index in 0..<bytes.count {
            let byte = bytes[index]
            guard byte > 0x20, byte < 0x7F else {
                throw .invalidMessage("a message id that is not printable ASCII")
            }
            messageID[index] = CChar(bitPattern: byte)
        }
        messageID[bytes.count] = 0
    }

    /// Writes `value` in decimal.
    func setNumber(_ value: UInt64) {
        var rest = value
        var count = 1
        while rest >= 10 {
            rest /= 10
            count += 1
        }
        number[count] = 0
        rest = value
        while count > 0 {
            count -= 1
            number[count] = CChar(truncatingIfNeeded: 0x30 + rest % 10)
            rest /= 10
        }
    }

    /// Completes the reply subject of an ack.
    func setReply(_ tail: AckReply) {
        tail.write(to: reply + replyTail)
        reply[replyTail + AckReply.byteCount] = 0
    }

    /// Completes the reply subject of a request.
    func setRequest(_ number: UInt64) {
        PendingReplies.write(number, to: reply + replyTail)
        reply[replyTail + PendingReplies.byteCount] = 0
    }
}
