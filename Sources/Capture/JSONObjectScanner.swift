/// Checks that bytes are one JSON object (RFC 8259) and finds its members.
///
/// The bodies of logical messages are the only JSON that is read here: everything else is written.
struct JSONObjectScanner {
    /// A member of the outermost object: its key decoded, both texts as ranges of the input.
    struct Member {
        var key: [UInt8]
        var keyRange: Range<Int>
        var valueRange: Range<Int>
    }

    /// Deeper nesting is refused: the scanner recurses.
    static let depthLimit = 200

    private let text: UnsafeRawBufferPointer
    private var index = 0

    private init(_ text: UnsafeRawBufferPointer) { self.text = text }

    /// - Throws: `.messageBody` with what is wrong and where.
    static func members(of text: UnsafeRawBufferPointer) throws(PoisonReason) -> [Member] {
        guard UTF8Validation.isValid(text) else { throw .messageBody("it is not UTF-8") }
        var scanner = JSONObjectScanner(text)
        scanner.skipSpace()
        guard scanner.peek() == UInt8(ascii: "{") else { throw .messageBody("it is not a JSON object") }
        var members: [Member] = []
        try scanner.object(depth: 0) { members.append($0) }
        scanner.skipSpace()
        guard scanner.index == text.count else { throw scanner.unexpected() }
        return members
    }

    /// The bytes that a JSON string stands for; nil if `range` holds none.
    static func string(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) -> [UInt8]? {
        var scanner = JSONObjectScanner(text)
        scanner.index = range.lowerBound
        guard scanner.peek() == UInt8(ascii: "\"") else { return nil }
        return try? scanner.string()
    }

    private func peek() -> UInt8? { index < text.count ? text[index] : nil }

    private func unexpected() -> PoisonReason {
        .messageBody(index < text.count ? "unexpected byte at offset \(index)" : "it ends too soon")
    }

    private mutating func skipSpace() {
        while let byte = peek(), byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { index += 1 }
    }

    private mutating func expect(_ byte: UInt8) throws(PoisonReason) {
        guard peek() == byte else { throw unexpected() }
        index += 1
    }

    private mutating func object(depth: Int, _ found: (Member) -> Void) throws(PoisonReason) {
        try expect(UInt8(ascii: "{"))
        skipSpace()
        if peek() == UInt8(ascii: "}") {
            index += 1
            return
        }
        while true {
            skipSpace()
            let keyStart = index
            let key = try string()
            let keyRange = keyStart..<index
            skipSpace()
            try expect(UInt8(ascii: ":"))
            skipSpace()
            let valueStart = index
            try value(depth: depth + 1)
            found(Member(key: key, keyRange: keyRange, valueRange: valueStart..<index))
            skipSpace()
            if peek() == UInt8(ascii: ",") {
                index += 1
                continue
            }
            try expect(UInt8(ascii: "}"))
            return
        }
    }

    private mutating func array(depth: Int) throws(PoisonReason) {
        try expect(UInt8(ascii: "["))
        skipSpace()
        if peek() == UInt8(ascii: "]") {
            index += 1
            return
        }
        while true {
            skipSpace()
            try value(depth: depth + 1)
            skipSpace()
            if peek() == UInt8(ascii: ",") {
                index += 1
                continue
            }
            try expect(UInt8(ascii: "]"))
            return
        }
    }

    private mutating func value(depth: Int) throws(PoisonReason) {
        guard depth <= Self.depthLimit else { throw .messageBody("it is nested deeper than \(Self.depthLimit)") }
        switch peek() {
        case UInt8(ascii: "{"): try object(depth: depth) { _ in }
        case UInt8(ascii: "["): try array(depth: depth)
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: try number()
        }
    }

    private mutating func literal(_ word: StaticString) throws(PoisonReason) {
        for offset in 0..<word.utf8CodeUnitCount { try expect(word.utf8Start[offset]) }
    }

    private mutating func number() throws(PoisonReason) {
        let start = index
        while let byte = peek(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "+-.eE".utf8.contains(byte) {
            index += 1
        }
        guard OutputBuffer.isJSONNumber(UnsafeRawBufferPointer(rebasing: text[start..<index])) else {
            index = start
            throw unexpected()
        }
    }

    private mutating func string() throws(PoisonReason) -> [UInt8] {
        try expect(UInt8(ascii: "\""))
        var decoded: [UInt8] = []
        while let byte = peek() {
            index += 1
            switch byte {
            case UInt8(ascii: "\""): return decoded
            case UInt8(ascii: "\\"): try escape(into: &decoded)
            case 0..<0x20:
                index -= 1
                throw unexpected()
            default: decoded.append(byte)
            }
        }
        throw unexpected()
    }

    private mutating func escape(into decoded: inout [UInt8]) throws(PoisonReason) {
        guard let byte = peek() else { throw unexpected() }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(byte)
        case UInt8(ascii: "b"): decoded.append(0x08)
        case UInt8(ascii: "f"): decoded.append(0x0C)
        case UInt8(ascii: "n"): decoded.append(0x0A)
        case UInt8(ascii: "r"): decoded.append(0x0D)
        case UInt8(ascii: "t"): decoded.append(0x09)
        case UInt8(ascii: "u"):
            var code = UInt32(try codeUnit())
            if (0xD800..<0xDC00).contains(code) {
                try expect(UInt8(ascii: "\\"))
                try expect(UInt8(ascii: "u"))
                let low = UInt32(try codeUnit())
                guard (0xDC00..<0xE000).contains(low) else {
                    throw .messageBody("half a surrogate pair before offset \(index)")
                }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else {
                throw .messageBody("half a surrogate pair before offset \(index)")
            }
            decoded += Array(String(Character(scalar)).utf8)
        default:
            index -= 1
            throw unexpected()
        }
    }

    private mutating func codeUnit() throws(PoisonReason) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = peek(), let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw unexpected()
            }
            unit = unit << 4 | UInt16(digit)
            index += 1
        }
        return unit
    }
}
