/// A walk over a TOML document that only tells keys from values. It knows two things that the parser does not say.
///
/// - On which line each key stands. A key inside an inline table has the line of the key that the table belongs to.
/// - Where the parser would abort the process: toml++ 3.4.0 asserts instead of refusing at a header like `[$x]`, at `[}`, and at a date or a
///   U+0085 in the wrong place. Found by changing files at random until no assertion failed any more.
struct DocumentScan {
    /// A place that must not reach the parser.
    struct Fault: Equatable {
        let line: Int
        /// In bytes, from 1.
        let column: Int
        let message: String
    }

    /// The first one, if any: what follows it is not scanned.
    private(set) var fault: Fault?

    private let bytes: [UInt8]
    private var index = 0
    private var line = 1
    private var lineStart = 0
    private var lines: [[String]: Int] = [:]

    /// Walks `text` once; it need not be TOML.
    init(_ text: String) {
        bytes = Array(text.utf8)
        // The parser skips a byte order mark.
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { index = 3 }
        scan()
    }

    /// The line of the key, or of the nearest table above it that has one.
    func line(of path: [String]) -> Int? {
        for count in stride(from: path.count, to: 0, by: -1) {
            if let line = lines[Array(path[..<count])] { return line }
        }
        return nil
    }

    private mutating func scan() {
        var table: [String] = []
        while fault == nil, let byte = current {
            switch byte {
            case UInt8(ascii: "#"):
                skipLine()
            case UInt8(ascii: "["):
                advance()
                skipSpaces()
                if current == UInt8(ascii: "[") { advance() }
                skipSpaces()
                guard let first = current, Self.beginsKey(first) else {
                    return refuse("a table's name is missing here: letters, digits, _ and -, or a quoted name")
                }
                table = keyParts()
                record(table)
                skipLine()
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"):
                advance()
            default:
                record(table + keyParts())
                advance()
                skipValue()
            }
        }
    }

    private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func advance() {
        if current == UInt8(ascii: "\n") {
            line += 1
            lineStart = index + 1
        }
        index += 1
    }

    private mutating func refuse(_ message: String) {
        fault = Fault(line: line, column: index - lineStart + 1, message: message)
    }

    /// Whether TOML has the byte in strings and comments only; a non-breaking space that was pasted along, for one.
    private static func isStrange(_ byte: UInt8) -> Bool {
        byte >= 0x7F || byte < 0x20 && !"\t\r\n".utf8.contains(byte)
    }

    private mutating func refuseStrangeByte() {
        refuse("outside quotes only printable ASCII characters can stand; perhaps an invisible one was pasted here")
    }

    private static func beginsKey(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "\""),
            UInt8(ascii: "'"):
            true
        default:
            false
        }
    }

    private mutating func skipSpaces() {
        while let byte = current, " \t".utf8.contains(byte) { advance() }
    }

    private mutating func record(_ path: [String]) {
        if lines[path] == nil { lines[path] = line }
    }

    private mutating func skipLine() {
        while let byte = current, byte != UInt8(ascii: "\n") { advance() }
    }

    /// The parts of a dotted key, up to the `=` or `]` behind it.
    private mutating func keyParts() -> [String] {
        var parts: [String] = []
        var part: [UInt8] = []
        while let byte = current, byte != UInt8(ascii: "="), byte != UInt8(ascii: "]"), byte != UInt8(ascii: "\n") {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                let start = index + 1
                skipString()
                part += bytes[min(start, bytes.count)..<max(min(start, bytes.count), min(index, bytes.count) - 1)]
            case UInt8(ascii: "."):
                parts.append(String(decoding: part, as: UTF8.self))
                part = []
                advance()
            case UInt8(ascii: " "), UInt8(ascii: "\t"):
                advance()
            case _ where Self.isStrange(byte):
                refuseStrangeByte()
                return parts
            default:
                part.append(byte)
                advance()
            }
        }
        return parts + [String(decoding: part, as: UTF8.self)]
    }

    /// Up to the end of the line on which the value ends.
    private mutating func skipValue() {
        // The brackets that would close what is open.
        var closing: [UInt8] = []
        while fault == nil, let byte = current {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                skipString()
            case UInt8(ascii: "#"):
                skipLine()
            case UInt8(ascii: "\n") where closing.isEmpty:
                return
            case UInt8(ascii: "["):
                closing.append(UInt8(ascii: "]"))
                advance()
            case UInt8(ascii: "{"):
                closing.append(UInt8(ascii: "}"))
                advance()
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                guard closing.popLast() == byte else { return refuse("this bracket closes nothing that is open") }
                advance()
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                skipNumber()
            case _ where Self.isStrange(byte):
                refuseStrangeByte()
            default:
                advance()
            }
        }
    }

    /// A run of bytes that begins with a digit. A hyphen in it makes it a date, unless it belongs to an exponent.
    private mutating func skipNumber() {
        let start = index
        while let byte = current, !" \t\r\n,=]}#".utf8.contains(byte) {
            if byte == UInt8(ascii: "-"), index > start, bytes[index - 1] | 0x20 != UInt8(ascii: "e") {
                return refuse("no key has a date as its value; a text stands in quotes")
            }
            if Self.isStrange(byte) { return refuseStrangeByte() }
            index += 1
        }
    }

    /// One string of any of TOML's four kinds, its quotes included.
    private mutating func skipString() {
        guard let quote = current else { return }
        let isMultiline = hasThree(quote)
        let hasEscapes = quote == UInt8(ascii: "\"")
        for _ in 0..<(isMultiline ? 3 : 1) { advance() }
        while let byte = current {
            if hasEscapes, byte == UInt8(ascii: "\\") {
                advance()
                advance()
            } else if !isMultiline, byte == quote || byte == UInt8(ascii: "\n") {
                if byte == quote { advance() }
                return
            } else if byte == quote, hasThree(quote) {
                // Up to two quotes may stand right before the closing three.
                while current == quote { advance() }
                return
            } else {
                advance()
            }
        }
    }

    private func hasThree(_ quote: UInt8) -> Bool {
        index + 2 < bytes.count && bytes[index] == quote && bytes[index + 1] == quote && bytes[index + 2] == quote
    }
}
