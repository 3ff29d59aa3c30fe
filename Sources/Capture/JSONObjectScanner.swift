/// Checks that bytes are one JSON object (RFC 8259) and finds its members.
///
/// The bodies of logical messages and stored events are read with it: all other JSON is only written here. What is accepted of a message goes into an event as it
/// stands, so this is strict and says where a text is wrong; JetStreamPublishing's `JSONScanner` picks numbers out of acks, once a message, and passes
/// over what it does not need. Neither could do the other's work, nor does either module see the other.
struct JSONObjectScanner {
    /// A member of the outermost object: its key decoded, both texts as ranges of the input.
    struct Member {
        var key: [UInt8]
        var keyRange: Range<Int>
        var valueRange: Range<Int>
    }

    /// Of the values in a logical message: consumers that read by recursion have limits of their own.
    static let depthLimit = 200

    private let text: UnsafeRawBufferPointer
    private let depthLimit: Int
    private var index = 0
    /// The brackets that close what is open in the value being read: kept here and not by recursion, which would end somewhere.
    private var openBrackets: [UInt8] = []

    private init(_ text: UnsafeRawBufferPointer, depthLimit: Int = depthLimit) {
        self.text = text
        self.depthLimit = depthLimit
    }

    /// Gives `found` each member, in order, while it reads; of no use if it throws after all.
    /// - Throws: `.messageBody` with what is wrong and where; what `found` throws.
    static func forEachMember(
        of text: UnsafeRawBufferPointer, depthLimit: Int = depthLimit, _ found: (Member) throws(PoisonReason) -> Void
    ) throws(PoisonReason) {
        guard UTF8Validation.isValid(text) else { throw .messageBody("the text is not UTF-8") }
        var scanner = JSONObjectScanner(text, depthLimit: depthLimit)
        scanner.skipSpace()
        guard scanner.peek() == UInt8(ascii: "{") else { throw .messageBody("the text is not a JSON object") }
        try scanner.members(found)
        scanner.skipSpace()
        guard scanner.index == text.count else { throw scanner.unexpected() }
    }

    /// - Throws: `.messageBody` with what is wrong and where.
    static func members(
        of text: UnsafeRawBufferPointer, depthLimit: Int = depthLimit
    ) throws(PoisonReason) -> [Member] {
        var members: [Member] = []
        try forEachMember(of: text, depthLimit: depthLimit) { members.append($0) }
        return members
    }

    /// The bytes that a JSON string stands for; nil if `range` holds none.
    static func string(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) -> [UInt8]? {
        var scanner = JSONObjectScanner(text)
        scanner.index = range.lowerBound
        guard scanner.peek() == UInt8(ascii: "\"") else { return nil }
        var decoded: [UInt8] = []
        guard (try? scanner.string { decoded.append($0) }) != nil else { return nil }
        return decoded
    }

    /// The elements of one JSON array, each as a range of the input; nil: it is none.
    static func elements(of text: UnsafeRawBufferPointer) -> [Range<Int>]? {
        guard UTF8Validation.isValid(text) else { return nil }
        var scanner = JSONObjectScanner(text, depthLimit: .max)
        scanner.skipSpace()
        guard scanner.peek() == UInt8(ascii: "["), let elements = try? scanner.elements() else { return nil }
        scanner.skipSpace()
        return scanner.index == text.count ? elements : nil
    }

    /// Where the one JSON value stands that the input is, without the space around it; nil: it is none.
    static func value(of text: UnsafeRawBufferPointer) -> Range<Int>? {
        guard UTF8Validation.isValid(text) else { return nil }
        var scanner = JSONObjectScanner(text, depthLimit: .max)
        scanner.skipSpace()
        let start = scanner.index
        guard (try? scanner.value()) != nil else { return nil }
        let end = scanner.index
        scanner.skipSpace()
        return scanner.index == text.count ? start..<end : nil
    }

    private func peek() -> UInt8? { index < text.count ? text[index] : nil }

    private func unexpected() -> PoisonReason {
        .messageBody(index < text.count ? "unexpected byte at offset \(index)" : "the text ends too soon")
    }

    private mutating func skipSpace() {
        while let byte = peek(), byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { index += 1 }
    }

    private mutating func expect(_ byte: UInt8) throws(PoisonReason) {
        guard peek() == byte else { throw unexpected() }
        index += 1
    }

    /// The outermost object's members.
    private mutating func members(_ found: (Member) throws(PoisonReason) -> Void) throws(PoisonReason) {
        try expect(UInt8(ascii: "{"))
        guard !isEnd(UInt8(ascii: "}")) else { return }
        repeat {
            skipSpace()
            let keyStart = index
            var key: [UInt8] = []
            try string { key.append($0) }
            let keyRange = keyStart..<index
            try colon()
            let valueStart = index
            try value()
            try found(Member(key: key, keyRange: keyRange, valueRange: valueStart..<index))
        } while try goesOn(until: UInt8(ascii: "}"))
    }

    /// The outermost array's elements.
    private mutating func elements() throws(PoisonReason) -> [Range<Int>] {
        try expect(UInt8(ascii: "["))
        guard !isEnd(UInt8(ascii: "]")) else { return [] }
        var elements: [Range<Int>] = []
        repeat {
            skipSpace()
            let start = index
            try value()
            elements.append(start..<index)
        } while try goesOn(until: UInt8(ascii: "]"))
        return elements
    }

    private mutating func colon() throws(PoisonReason) {
        skipSpace()
        try expect(UInt8(ascii: ":"))
        skipSpace()
    }

    /// Whether an object or array ends at once.
    private mutating func isEnd(_ bracket: UInt8) -> Bool {
        skipSpace()
        guard peek() == bracket else { return false }
        index += 1
        return true
    }

    /// Whether a comma stands there, with another member behind it, and not the end.
    private mutating func goesOn(until bracket: UInt8) throws(PoisonReason) -> Bool {
        skipSpace()
        if peek() == UInt8(ascii: ",") {
            index += 1
            return true
        }
        try expect(bracket)
        return false
    }

    /// Reads one value and all that is in it.
    private mutating func value() throws(PoisonReason) {
        openBrackets.removeAll(keepingCapacity: true)
        while true {
            guard openBrackets.count < depthLimit else { throw .messageBody("the text is nested deeper than \(depthLimit)") }
            switch peek() {
            case UInt8(ascii: "{"): if try opens(until: UInt8(ascii: "}")) { continue }
            case UInt8(ascii: "["): if try opens(until: UInt8(ascii: "]")) { continue }
            case UInt8(ascii: "\""): try string { _ in }
            case UInt8(ascii: "t"): try literal("true")
            case UInt8(ascii: "f"): try literal("false")
            case UInt8(ascii: "n"): try literal("null")
            default: try number()
            }
            guard try hasNext() else { return }
        }
    }

    /// Goes into an object or array, up to its first value; false: it is empty, and passed.
    private mutating func opens(until bracket: UInt8) throws(PoisonReason) -> Bool {
        index += 1
        if isEnd(bracket) { return false }
        openBrackets.append(bracket)
        try beginMember(bracket)
        return true
    }

    /// Behind a value: closes what ends with it, and goes on to the next value; false: everything is closed.
    private mutating func hasNext() throws(PoisonReason) -> Bool {
        while let bracket = openBrackets.last {
            if try goesOn(until: bracket) {
                try beginMember(bracket)
                return true
            }
            openBrackets.removeLast()
        }
        return false
    }

    /// A value in an object has a key before it.
    private mutating func beginMember(_ bracket: UInt8) throws(PoisonReason) {
        skipSpace()
        guard bracket == UInt8(ascii: "}") else { return }
        try string { _ in }
        try colon()
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

    /// Reads a string and gives `decoded` the bytes that it stands for.
    private mutating func string(_ decoded: (UInt8) -> Void) throws(PoisonReason) {
        try expect(UInt8(ascii: "\""))
        while let byte = peek() {
            index += 1
            switch byte {
            case UInt8(ascii: "\""): return
            case UInt8(ascii: "\\"): try escape(decoded)
            case 0..<0x20:
                index -= 1
                throw unexpected()
            default: decoded(byte)
            }
        }
        throw unexpected()
    }

    private mutating func escape(_ decoded: (UInt8) -> Void) throws(PoisonReason) {
        guard let byte = peek() else { throw unexpected() }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded(byte)
        case UInt8(ascii: "b"): decoded(0x08)
        case UInt8(ascii: "f"): decoded(0x0C)
        case UInt8(ascii: "n"): decoded(0x0A)
        case UInt8(ascii: "r"): decoded(0x0D)
        case UInt8(ascii: "t"): decoded(0x09)
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
            for byte in String(Character(scalar)).utf8 { decoded(byte) }
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
