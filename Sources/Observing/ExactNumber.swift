/// A JSON number, of any size and precision, compared by its value: `100` is `100.00` and `1e2`, and `9007199254740993` is not `9007199254740992`.
struct ExactNumber: Sendable {
    private enum Sign: Int {
        case negative = -1
        case zero = 0
        case positive = 1
    }

    private let sign: Sign
    /// Without zeros at either end; the value is `0.digits` times ten to the power of `exponent`.
    private let digits: [UInt8]
    private let exponent: Int

    /// nil: the text is not a JSON number.
    init?(_ text: some Collection<UInt8>) {
        var rest = Array(text)[...]
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest.removeFirst() }
        let whole = rest.prefix(while: Self.isDigit)
        guard !whole.isEmpty, whole.count == 1 || whole.first != UInt8(ascii: "0") else { return nil }
        rest = rest.dropFirst(whole.count)
        var fraction = ArraySlice<UInt8>()
        if rest.first == UInt8(ascii: ".") {
            fraction = rest.dropFirst().prefix(while: Self.isDigit)
            guard !fraction.isEmpty else { return nil }
            rest = rest.dropFirst(fraction.count + 1)
        }
        var power = 0
        if let byte = rest.first, byte | 0x20 == UInt8(ascii: "e") {
            guard let read = Self.power(rest.dropFirst()) else { return nil }
            power = read
        } else {
            guard rest.isEmpty else { return nil }
        }
        let all = whole + fraction
        let leading = all.prefix { $0 == UInt8(ascii: "0") }.count
        var significant = Array(all.dropFirst(leading))
        while significant.last == UInt8(ascii: "0") { significant.removeLast() }
        digits = significant
        sign = significant.isEmpty ? .zero : isNegative ? .negative : .positive
        exponent = significant.isEmpty ? 0 : whole.count - leading + power
    }

    /// What stands behind `e`, as far as it makes a difference: nobody writes as many digits as would make up for the limit.
    private static func power(_ text: ArraySlice<UInt8>) -> Int? {
        let isNegative = text.first == UInt8(ascii: "-")
        let digits = isNegative || text.first == UInt8(ascii: "+") ? text.dropFirst() : text
        guard !digits.isEmpty, digits.allSatisfy(isDigit) else { return nil }
        var value = 0
        for digit in digits { value = min(value * 10 + Int(digit - UInt8(ascii: "0")), 1 << 40) }
        return isNegative ? -value : value
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}

extension ExactNumber: Comparable {
    static func == (left: ExactNumber, right: ExactNumber) -> Bool {
        left.sign == right.sign && left.exponent == right.exponent && left.digits == right.digits
    }

    static func < (left: ExactNumber, right: ExactNumber) -> Bool {
        guard left.sign == right.sign else { return left.sign.rawValue < right.sign.rawValue }
        let (smaller, greater) = left.sign == .negative ? (right, left) : (left, right)
        guard smaller.exponent == greater.exponent else { return smaller.exponent < greater.exponent }
        // A digit more is more: what is missing would be zeros.
        return smaller.digits.lexicographicallyPrecedes(greater.digits)
    }
}
