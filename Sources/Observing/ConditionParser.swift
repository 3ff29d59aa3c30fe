import Capture

/// Reads a condition's text. It calls itself for `!` and parentheses only, which are bounded.
struct ConditionParser {
    /// What reads otherwise than whoever wrote it may think.
    private(set) var warnings: [String] = []

    private let text: [Unicode.Scalar]
    /// Of each scalar in the text, in bytes.
    private let offsets: [Int]
    private var index = 0

    private static let functions = ["has_field", "field_changed", "field_changed_to", "field_changed_from"]
    private static let operators = Condition.Comparison.allCases.map(\.rawValue).joined(separator: " ")

    init(_ text: String) {
        self.text = Array(text.unicodeScalars)
        var offsets: [Int] = []
        var offset = 0
        for scalar in text.unicodeScalars {
            offsets.append(offset)
            offset += UTF8.width(scalar)
        }
        self.offsets = offsets + [offset]
    }

    /// The whole text.
    mutating func condition() throws(ConditionError) -> Condition.Node {
        skipSpace()
        guard index < text.count else { throw error("the condition is empty; write one, or leave the key out for every event") }
        let node = try alternatives(depth: 0)
        skipSpace()
        guard index == text.count else { throw error("\(shown) is not expected here; allowed are &&, || and the end") }
        return node
    }

    // MARK: - Grammar

    private mutating func alternatives(depth: Int) throws(ConditionError) -> Condition.Node {
        var nodes = [try conjunction(depth: depth)]
        while try skips("||") { nodes.append(try conjunction(depth: depth)) }
        return nodes.count == 1 ? nodes[0] : .any(nodes)
    }

    private mutating func conjunction(depth: Int) throws(ConditionError) -> Condition.Node {
        var nodes = [try part(depth: depth)]
        while try skips("&&") { nodes.append(try part(depth: depth)) }
        return nodes.count == 1 ? nodes[0] : .all(nodes)
    }

    private mutating func part(depth: Int) throws(ConditionError) -> Condition.Node {
        skipSpace()
        guard depth <= Condition.depthLimit else {
            throw error("! and parentheses are nested deeper than \(Condition.depthLimit)")
        }
        switch peek {
        case "!":
            index += 1
            return .not(try part(depth: depth + 1))
        case "(":
            index += 1
            let node = try alternatives(depth: depth + 1)
            skipSpace()
            guard peek == ")" else { throw error("\(shown) is not expected here; allowed are ), && and ||") }
            index += 1
            return node
        default:
            guard let first = peek, Self.isName(first) else {
                throw error("\(shown) is not expected here; allowed are a field, a function, ! and (")
            }
            return try comparisonOrFunction()
        }
    }

    private mutating func comparisonOrFunction() throws(ConditionError) -> Condition.Node {
        let start = index
        var name = readName()
        let hasTable = name == "data" && peek == "."
        if hasTable {
            index += 1
            name = readName()
            guard !name.isEmpty else { throw error("a field is expected behind data.") }
        }
        guard peek != "." else { throw error("a field of a field cannot be asked for; write the name of a column, alone or behind data.") }
        skipSpace()
        if peek == "(", !hasTable { return try function(name, at: start) }
        let comparison = try comparison()
        skipSpace()
        return .comparison(field: name, comparison, try literal(beside: comparison))
    }

    private mutating func comparison() throws(ConditionError) -> Condition.Comparison {
        let start = index
        while let scalar = peek, "=!<>".unicodeScalars.contains(scalar) { index += 1 }
        let written = string(start..<index)
        guard let comparison = Condition.Comparison(rawValue: written) else {
            index = start
            throw error("\(written.isEmpty ? shown : written) is no operator; allowed are \(Self.operators)")
        }
        return comparison
    }

    private mutating func literal(beside comparison: Condition.Comparison) throws(ConditionError) -> Condition.Literal {
        let start = index
        if peek == "'" {
            let text = try quoted()
            warn(comparison, start, "'…' is a text")
            return .text(text)
        }
        while let scalar = peek, Self.isName(scalar) && scalar != "_" || scalar == "." || scalar == "-" { index += 1 }
        let written = string(start..<index)
        guard !written.isEmpty else {
            throw error("\(shown) is no value; allowed are 'a text' in single quotes, a number, true, false and null")
        }
        guard peek.map({ !Self.isName($0) }) ?? true else {
            index = start
            throw error("a text that has _ stands between single quotes")
        }
        if let literal = Self.literal(written) {
            if case .number = literal {} else { warn(comparison, start, "\(written) is no number") }
            return literal
        }
        warnings.append(
            "offset \(offsets[start]): \(written) is neither a number nor true, false or null, and is taken as a text; write '\(written)'")
        warn(comparison, start, "\(written) is a text")
        return .text(written)
    }

    private mutating func function(_ name: String, at start: Int) throws(ConditionError) -> Condition.Node {
        let arguments = try arguments()
        func fails(_ what: String) -> ConditionError { .syntax(offset: offsets[start], what) }
        func expects(_ count: Int) throws(ConditionError) {
            guard arguments.count == count else {
                throw fails("\(name) takes \(count == 1 ? "1 argument" : "\(count) arguments"), not \(arguments.count)")
            }
        }
        switch name {
        case "has_field":
            try expects(1)
            return .hasField(Self.field(arguments[0]))
        case "field_changed":
            try expects(1)
            return .fieldChanged(Self.field(arguments[0]))
        case "field_changed_to":
            try expects(2)
            return .fieldChangedTo(Self.field(arguments[0]), Self.argument(arguments[1]))
        case "field_changed_from":
            try expects(2)
            return .fieldChangedFrom(Self.field(arguments[0]), Self.argument(arguments[1]))
        default:
            let nearest = NearestName.nearest(to: name, among: Self.functions).map { "; did you mean \($0)?" } ?? ""
            throw fails("\(name) is no function; allowed are \(Self.functions.joined(separator: ", "))\(nearest)")
        }
    }

    private mutating func arguments() throws(ConditionError) -> [String] {
        index += 1
        var arguments: [String] = []
        repeat {
            skipSpace()
            if arguments.isEmpty, peek == ")" { break }
            guard peek == "'" else { throw error("\(shown) is no argument; an argument stands in single quotes") }
            guard arguments.count < Condition.argumentCountLimit else {
                throw error("a function takes at most \(Condition.argumentCountLimit) arguments")
            }
            arguments.append(try quoted())
        } while try skips(",")
        skipSpace()
        guard peek == ")" else { throw error("\(shown) is not expected here; allowed are , and )") }
        index += 1
        return arguments
    }

    /// A text in single quotes. No character has a meaning of its own in it, so that it cannot hold a quote.
    private mutating func quoted() throws(ConditionError) -> String {
        let start = index
        index += 1
        while let scalar = peek, scalar != "'" { index += 1 }
        guard peek != nil else {
            index = start
            throw error("the quote is not closed")
        }
        index += 1
        return string(start + 1..<index - 1)
    }

    // MARK: - Values

    /// What JSON has a value for.
    private static func literal(_ text: String) -> Condition.Literal? {
        switch text {
        case "true": .boolean(true)
        case "false": .boolean(false)
        case "null": .null
        default: ExactNumber(text.utf8).map { .number($0) }
        }
    }

    private static func argument(_ text: String) -> Condition.Argument {
        Condition.Argument(text: text, literal: literal(text) ?? .text(text))
    }

    private static func field(_ name: String) -> String { name.removingPrefix("data.") ?? name }

    /// An operator of order beside what is no number is an error for every event.
    private mutating func warn(_ comparison: Condition.Comparison, _ start: Int, _ what: String) {
        switch comparison {
        case .equal, .unequal: return
        case .greater, .less, .atLeast, .atMost:
            warnings.append(
                "offset \(offsets[start]): \(comparison.rawValue) compares numbers, and \(what): the comparison is an error for every event")
        }
    }

    // MARK: - Text

    private var peek: Unicode.Scalar? { index < text.count ? text[index] : nil }

    /// The scalar that stands here, for a message.
    private var shown: String {
        guard let peek else { return "the end" }
        let isPlain = peek.isASCII && peek.value > 0x20 && peek.value != 0x7F
        return isPlain ? String(Character(peek)) : "U+" + String(peek.value, radix: 16, uppercase: true)
    }

    private func error(_ what: String) -> ConditionError { .syntax(offset: offsets[index], what) }

    private func string(_ range: Range<Int>) -> String { String(String.UnicodeScalarView(text[range])) }

    /// What FraiseQL takes for a name: letters and digits of every script, and `_`.
    private static func isName(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == "_" { return true }
        if scalar.isASCII { return scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) }
        switch scalar.properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: return true
        default: return scalar.properties.isAlphabetic
        }
    }

    private mutating func readName() -> String {
        let start = index
        while let scalar = peek, Self.isName(scalar) { index += 1 }
        return string(start..<index)
    }

    private mutating func skipSpace() {
        while let scalar = peek, scalar.properties.isWhitespace { index += 1 }
    }

    /// Passes a word of signs; false: something else stands here. The first sign alone is a mistake.
    private mutating func skips(_ word: StaticString) throws(ConditionError) -> Bool {
        skipSpace()
        let scalars = Array(word.description.unicodeScalars)
        guard peek == scalars[0] else { return false }
        for (distance, scalar) in scalars.enumerated() {
            guard index + distance < text.count, text[index + distance] == scalar else {
                throw error("a single \(scalars[0]) is not expected here; write \(word)")
            }
        }
        index += scalars.count
        return true
    }
}
