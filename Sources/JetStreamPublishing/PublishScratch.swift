/// The subject, reply and headers of one publish, as libnats wants them, built in memory that is kept.
///
/// libnats copies them; nothing here is read after the call.
struct PublishScratch: ~Copyable {
    /// The server reads `HPUB subject reply sizes` as one line of at most 4,096 bytes.
    static let subjectByteCountLimit = 3_900
    /// Header values of ours are short; the server takes 64 KiB of headers.
    static let messageIDByteCountLimit = 1_024

    /// Room for two message ids.
    private static let headersByteCountLimit = 3_072
    private static let headersStart: StaticString = "NATS/1.0\r\n"
    private static let lineEnd: StaticString = "\r\n"

    private let memory: UnsafeMutableBufferPointer<CChar>
    private let replyTail: Int

    /// The subject, after ``setSubject(_:)``; NUL-terminated.
    let subject: UnsafeMutablePointer<CChar>
    /// The reply subject, after ``setReply(_:)`` or ``setRequest(_:)``; NUL-terminated.
    let reply: UnsafeMutablePointer<CChar>
    /// The headers as they go over the wire, after ``endHeaders()``; NUL-terminated.
    let headers: UnsafeMutablePointer<CChar>
    /// How long they are.
    private(set) var headersByteCount = 0

    /// Memory for publishes whose answers go to `<inbox>.<token>`; nil if there is none.
    init?(inbox: String) {
        let prefix = Array((inbox + ".").utf8)
        let subjectCapacity = Self.subjectByteCountLimit + 1
        let replyCapacity = prefix.count + FastBatchReply.byteCountLimit + 1
        memory = UnsafeMutableBufferPointer<CChar>.allocate(
            capacity: subjectCapacity + replyCapacity + Self.headersByteCountLimit + 1)
        memory.initialize(repeating: 0)
        guard let start = memory.baseAddress else {
            memory.deallocate()
            return nil
        }
        subject = start
        reply = subject + subjectCapacity
        headers = reply + replyCapacity
        replyTail = prefix.count
        for (index, byte) in prefix.enumerated() { reply[index] = CChar(bitPattern: byte) }
    }

    deinit { memory.deallocate() }

    /// Copies `bytes`, refusing what would end the protocol line or a C string. UTF-8 passes.
    func setSubject(_ bytes: Span<UInt8>) throws(JetStreamError) {
        guard bytes.count > 0, bytes.count <= Self.subjectByteCountLimit else {
            throw .invalidMessage("a subject of \(bytes.count) bytes (limit \(Self.subjectByteCountLimit))")
        }
        guard Self.copy(bytes, to: subject, isAllowed: { $0 > 0x20 && $0 != 0x7F }) else {
            throw .invalidMessage("white space or a control character in the subject")
        }
        subject[bytes.count] = 0
    }

    /// Completes the reply subject of an ack.
    func setReply(_ tail: AckReply) {
        tail.write(to: reply + replyTail)
        reply[replyTail + AckReply.byteCount] = 0
    }

    /// Completes the reply subject of a fast batch's message.
    func setReply(_ tail: FastBatchReply) {
        let byteCount = tail.write(to: reply + replyTail)
        reply[replyTail + byteCount] = 0
    }

    /// Completes the reply subject of a request.
    func setRequest(_ number: UInt64) {
        PendingReplies.write(number, to: reply + replyTail)
        reply[replyTail + PendingReplies.byteCount] = 0
    }

    // MARK: - Headers

    /// Begins the headers with `Nats-Msg-Id`, refusing all that is not printable ASCII.
    mutating func beginHeaders(messageID: Span<UInt8>) throws(JetStreamError) {
        headersByteCount = 0
        append(Self.headersStart)
        try addHeader("Nats-Msg-Id: ", messageID: messageID)
    }

    /// Adds a header whose value is a message id, `name` with its colon and space; as long as there are no more than two.
    mutating func addHeader(_ name: StaticString, messageID: Span<UInt8>) throws(JetStreamError) {
        guard messageID.count > 0, messageID.count <= Self.messageIDByteCountLimit else {
            throw .invalidMessage("a message id of \(messageID.count) bytes (limit \(Self.messageIDByteCountLimit))")
        }
        append(name)
        guard Self.copy(messageID, to: headers + headersByteCount, isAllowed: { $0 > 0x20 && $0 < 0x7F }) else {
            throw .invalidMessage("a message id that is not printable ASCII")
        }
        headersByteCount += messageID.count
        append(Self.lineEnd)
    }

    /// Adds a header, `name` with its colon and space.
    mutating func addHeader(_ name: StaticString, _ value: UInt64) {
        append(name)
        headersByteCount += Self.writeDecimal(value, to: headers + headersByteCount)
        append(Self.lineEnd)
    }

    /// Ends the headers.
    mutating func endHeaders() {
        append(Self.lineEnd)
        headers[headersByteCount] = 0
    }

    /// Hands each header's name and value to `body` as C strings, and takes the headers apart doing so.
    mutating func takeHeaders<Failure: Error>(
        _ body: (_ name: UnsafePointer<CChar>, _ value: UnsafePointer<CChar>) throws(Failure) -> Void
    ) throws(Failure) {
        var name = headers + Self.headersStart.utf8CodeUnitCount
        while name[0] != CChar(UInt8(ascii: "\r")) {
            var value = name
            while value[0] != CChar(UInt8(ascii: ":")) { value += 1 }
            value[0] = 0
            value += 2
            var end = value
            while end[0] != CChar(UInt8(ascii: "\r")) { end += 1 }
            end[0] = 0
            try body(name, value)
            name = end + Self.lineEnd.utf8CodeUnitCount
        }
        headersByteCount = 0
    }

    /// Copies all of `bytes`; false if one of them is not allowed.
    @inline(__always)
    private static func copy(
        _ bytes: Span<UInt8>, to target: UnsafeMutablePointer<CChar>, isAllowed: (UInt8) -> Bool
    ) -> Bool {
        bytes.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return true }
            // Without a way out in the middle the compiler takes many bytes at a time.
            var refused: UInt8 = 0
            for byte in bytes { refused |= isAllowed(byte) ? 0 : 1 }
            UnsafeMutableRawPointer(target).copyMemory(from: start, byteCount: bytes.count)
            return refused == 0
        }
    }

    private mutating func append(_ text: StaticString) {
        headersByteCount += Self.write(text, to: headers + headersByteCount)
    }

    /// Writes `text`.
    /// - Returns: How many bytes it took.
    static func write(_ text: StaticString, to destination: UnsafeMutablePointer<CChar>) -> Int {
        text.utf8Start.withMemoryRebound(to: CChar.self, capacity: text.utf8CodeUnitCount) {
            destination.update(from: $0, count: text.utf8CodeUnitCount)
        }
        return text.utf8CodeUnitCount
    }

    /// Writes `value` in decimal digits.
    /// - Returns: How many bytes it took.
    static func writeDecimal(_ value: UInt64, to destination: UnsafeMutablePointer<CChar>) -> Int {
        var rest = value
        var digitCount = 1
        while rest >= 10 {
            rest /= 10
            digitCount += 1
        }
        rest = value
        for index in stride(from: digitCount - 1, through: 0, by: -1) {
            destination[index] = CChar(truncatingIfNeeded: 0x30 + rest % 10)
            rest /= 10
        }
        return digitCount
    }
}
