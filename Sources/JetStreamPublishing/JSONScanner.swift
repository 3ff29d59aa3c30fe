/// A forward reader of JSON for the ack path: no allocation, no copy, every access inside the bounds.
///
/// Strings are not unescaped: what comes back is where they stand.
struct JSONScanner {
    /// Deeper nesting than this is refused; no answer of a JetStream server comes near it.
    private static let depthLimit = 16

    private let bytes: UnsafeBufferPointer<UInt8>
    private var index = 0

    /// Reads `bytes`, which must outlive the scanner.
    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// Whether only white space is left.
    var isAtEnd: Bool {
        mutating get {
            skipSpace()
            return index == bytes.count
        }
    }

    /// Whether an object comes next.
    var isAtObject: Bool {
        mutating get {
            skipSpace()
            return peek == UInt8(ascii: "{")
        }
    }

    /// Steps over `byte` if it comes next.
    mutating func consume(_ byte: UInt8) -> Bool {
        skipSpace()
        guard peek == byte else { return false }
        index += 1
        return true
    }

    /// Steps over a string and returns where its contents stand; nil if none comes next or it does not end.
    mutating func string() -> Range<Int>? {
        guard consume(UInt8(ascii: "\"")) else { return nil }
        let start = index
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return start..<index - 1
            case UInt8(ascii: "\\"):
                guard index + 1 < bytes.count else { return nil }
                index += 2
            case 0..<0x20:
                return nil
            default:
                index += 1
            }
        }
        return nil
    }

    /// Steps over an integer without sign, fraction or exponent; nil if none comes next or it exceeds 64 bits.
    mutating func unsigned() -> UInt64? {
        skipSpace()
        let start = index
        guard let value = digits() else { return nil }
        if index - start > 1, bytes[start] == UInt8(ascii: "0") { return nil }
        switch peek {
        case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): return nil
        default: return value
        }
    }

    /// Steps over `true` or `false`; nil if neither comes next.
    mutating func boolean() -> Bool? {
        skipSpace()
        if word("true") { return true }
        return word("false") ? false : nil
    }

    /// Steps over any value; false if what comes is none.
    mutating func skipValue() -> Bool { skipValue(depth: 0) }

    /// Whether the bytes at `range` are `text`.
    func equals(_ range: Range<Int>, _ text: StaticString) -> Bool {
        range.count == text.utf8CodeUnitCount && hasPrefix(range, text)
    }

    /// The number that makes up all of `range` after `prefix`; nil if it does not look so.
    func numberEnding(_ range: Range<Int>, after prefix: StaticString) -> UInt64? {
        guard hasPrefix(range, prefix) else { return nil }
        var rest = JSONScanner(UnsafeBufferPointer(rebasing: bytes[range].dropFirst(prefix.utf8CodeUnitCount)))
        guard let number = rest.digits(), rest.isAtEnd else { return nil }
        return number
    }

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

    private func hasPrefix(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count >= text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { bytes[range].starts(with: $0) }
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    private mutating func digits() -> UInt64? {
        let start = index
        var value: UInt64 = 0
        while let byte = peek, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
            let (product, isOver) = value.multipliedReportingOverflow(by: 10)
            let (sum, isCarried) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            if isOver || isCarried { return nil }
            value = sum
            index += 1
        }
        return index > start ? value : nil
    }

    private mutating func word(_ text: StaticString) -> Bool {
        guard hasPrefix(index..<bytes.count, text) else { return false }
        index += text.utf8CodeUnitCount
        return true
    }

    private mutating func skipValue(depth: Int) -> Bool {
        guard depth < Self.depthLimit else { return false }
        skipSpace()
        switch peek {
        case UInt8(ascii: "\""): return string() != nil
        case UInt8(ascii: "{"): return skipContainer(depth: depth, end: UInt8(ascii: "}"), hasKeys: true)
        case UInt8(ascii: "["): return skipContainer(depth: depth, end: UInt8(ascii: "]"), hasKeys: false)
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return boolean() != nil
        case UInt8(ascii: "n"): return word("null")
        default: return skipNumber()
        }
    }

    private mutating func skipContainer(depth: Int, end: UInt8, hasKeys: Bool) -> Bool {
        index += 1
        if consume(end) { return true }
        repeat {
            if hasKeys {
                guard string() != nil, consume(UInt8(ascii: ":")) else { return false }
            }
            guard skipValue(depth: depth + 1) else { return false }
        } while consume(UInt8(ascii: ","))
        return consume(end)
    }

    private mutating func skipNumber() -> Bool {
        let start = index
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "e"), UInt8(ascii: "E"):
                index += 1
            default:
                return index > start
            }
        }
        return index > start
    }
}
