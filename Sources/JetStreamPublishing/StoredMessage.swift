/// A message as the stream keeps it.
public struct StoredMessage: Sendable, Hashable {
    /// One header line.
    public struct Header: Sendable, Hashable {
        /// As it was published: names are case-sensitive.
        public var name: String
        /// Without surrounding white space.
        public var value: String

        /// `name: value`.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// What it was published to.
    public var subject: String
    /// Its place in the stream.
    public var sequence: UInt64
    /// In no order that means anything.
    public var headers: [Header]
    /// The body, as published.
    public var payload: [UInt8]
    /// When it was stored, by its server's clock, in nanoseconds since 1970; nil: it was read one by one.
    public var storedAtNanoseconds: Int64?
    /// The same as RFC 3339, of a message that was read one by one.
    public var storedAt: String?

    /// A message with these parts.
    public init(subject: String, sequence: UInt64, headers: [Header], payload: [UInt8], storedAtNanoseconds: Int64? = nil, storedAt: String? = nil) {
        self.subject = subject
        self.sequence = sequence
        self.headers = headers
        self.payload = payload
        self.storedAtNanoseconds = storedAtNanoseconds
        self.storedAt = storedAt
    }

    /// The first value of the header `name`, which is compared as it stands; nil if there is none.
    public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// The `Nats-Msg-Id`.
    public var messageID: String? { header("Nats-Msg-Id") }

    /// Reads a stored header block: `NATS/1.0`, then `name: value` lines, each ended by CR LF. What is no such line is
    /// left out.
    static func headers(block: [UInt8]) -> [Header] {
        var headers: [Header] = []
        for line in block.split(separator: UInt8(ascii: "\n")).dropFirst() {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let value = line[line.index(after: colon)...]
            headers.append(Header(name: trimmed(line[..<colon]), value: trimmed(value)))
        }
        return headers
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> String {
        var bytes = bytes
        while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
        while let last = bytes.last, last == 0x20 || last == 0x09 || last == 0x0D { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
