/// How a table's name becomes an entity, and how any value becomes one subject token.
package enum EntityNaming {
    /// Cuts the longest matching prefix (unless nothing would be left), splits at `_`, upper-cases each part's first ASCII letter and joins: `tb_order_line` → `OrderLine`.
    static func entity(forTable table: String, prefixes: [String]) -> String {
        let cut = prefixes.filter { table.utf8.starts(with: $0.utf8) && table.utf8.count > $0.utf8.count }
            .max { $0.utf8.count < $1.utf8.count }
        let rest = table.utf8.dropFirst(cut?.utf8.count ?? 0)
        var entity: [UInt8] = []
        for part in rest.split(separator: UInt8(ascii: "_")) {
            var isFirst = true
            for byte in part {
                entity.append(isFirst && (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) ? byte - 32 : byte)
                isFirst = false
            }
        }
        // A name of underscores only has no parts: it stays what it is, so that the token is never empty.
        return entity.isEmpty ? String(table) : String(decoding: entity, as: UTF8.self)
    }

    /// Whether a byte stands for itself in a subject token.
    @inline(__always)
    package static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// The reversible token encoding: bytes outside `A-Z a-z 0-9 _ -` as `%XX`, the empty string as `%empty`.
    package static func token(_ value: String) -> [UInt8] {
        var token: [UInt8] = []
        encodeToken(value.utf8) { token.append($0) }
        return token
    }

    /// The value that a token stands for; nil: it is none that `token` makes.
    static func value(ofToken token: [UInt8]) -> String? {
        if token.elementsEqual("%empty".utf8) { return "" }
        var value: [UInt8] = []
        var index = 0
        while index < token.count {
            if isPlain(token[index]) {
                value.append(token[index])
                index += 1
            } else if token[index] == UInt8(ascii: "%"), index + 2 < token.count,
                let high = upperHexadecimalDigits.firstIndex(of: token[index + 1]),
                let low = upperHexadecimalDigits.firstIndex(of: token[index + 2])
            {
                value.append(UInt8(high << 4 | low))
                index += 3
            } else {
                return nil
            }
        }
        return value.isEmpty ? nil : String(validating: value, as: UTF8.self)
    }

    /// As `token`, a byte at a time; inlined, because values of columns come by it.
    @inline(__always)
    static func encodeToken(_ value: some Collection<UInt8>, _ append: (UInt8) -> Void) {
        if value.isEmpty { "%empty".utf8.forEach(append) }
        for byte in value {
            if isPlain(byte) {
                append(byte)
            } else {
                percentEncode(byte, append)
            }
        }
    }

    /// `%XX`.
    @inline(__always)
    package static func percentEncode(_ byte: UInt8, _ append: (UInt8) -> Void) {
        append(UInt8(ascii: "%"))
        append(upperHexadecimalDigits[Int(byte >> 4)])
        append(upperHexadecimalDigits[Int(byte & 15)])
    }

    /// What stands for SQL NULL.
    package static let nullToken = Array("%null".utf8)

    /// What stands for a value that was not sent, or that there is none of.
    package static let unknownToken = Array("%unknown".utf8)

    private static let upperHexadecimalDigits = Array("0123456789ABCDEF".utf8)
}

/// A `schema.table` or `schema.table:OPERATION` pattern with `*` (any run of characters) and `?` (any one).
struct ExclusionPattern: Sendable {
    private let table: [UInt8]
    private let operation: [UInt8]?

    init(_ pattern: String) {
        // The last colon: an operation never holds one, a table's name may.
        if let colon = pattern.utf8.lastIndex(of: UInt8(ascii: ":")) {
            table = Array(pattern.utf8[..<colon])
            operation = Array(pattern.utf8[pattern.utf8.index(after: colon)...])
        } else {
            table = Array(pattern.utf8)
            operation = nil
        }
    }

    func matches(qualifiedName: String, operation name: String) -> Bool {
        Self.matches(table, Array(qualifiedName.utf8)) && operation.map { Self.matches($0, Array(name.utf8)) } ?? true
    }

    /// Glob matching with one point of return, linear in practice and never exponential.
    private static func matches(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
        var patternIndex = 0
        var textIndex = 0
        var star: (pattern: Int, text: Int)?
        while textIndex < text.count {
            if patternIndex < pattern.count, pattern[patternIndex] == UInt8(ascii: "*") {
                star = (patternIndex, textIndex)
                patternIndex += 1
            } else if patternIndex < pattern.count, pattern[patternIndex] == UInt8(ascii: "?") {
                patternIndex += 1
                textIndex += 1
                // One character, not one byte of it.
                while textIndex < text.count, text[textIndex] & 0xC0 == 0x80 { textIndex += 1 }
            } else if patternIndex < pattern.count, pattern[patternIndex] == text[textIndex] {
                patternIndex += 1
                textIndex += 1
            } else if let (starPattern, starText) = star {
                patternIndex = starPattern + 1
                textIndex = starText + 1
                star = (starPattern, textIndex)
            } else {
                return false
            }
        }
        return pattern[patternIndex...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
