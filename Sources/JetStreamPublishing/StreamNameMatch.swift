/// A stream's name in the forms in which servers write it into a PubAck.
///
/// The server's quick path quotes it with Go's `%q`, the other with Go's JSON encoder, which escapes `<`, `>` and `&`.
struct StreamNameMatch: Sendable {
    private let plain: [UInt8]
    private let escaped: [UInt8]

    /// Stream names hold neither quotes nor backslashes nor control characters, so nothing else is ever escaped.
    init(_ name: String) {
        plain = Array(name.utf8)
        escaped = plain.flatMap { byte in
            switch byte {
            case UInt8(ascii: "<"): Array(#"\u003c"#.utf8)
            case UInt8(ascii: ">"): Array(#"\u003e"#.utf8)
            case UInt8(ascii: "&"): Array(#"\u0026"#.utf8)
            default: [byte]
            }
        }
    }

    /// Whether the JSON string at `range` of `body`, without its quotes, is this name.
    func matches(_ body: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Bool {
        let found = body[range]
        return found.elementsEqual(plain) || found.elementsEqual(escaped)
    }
}
