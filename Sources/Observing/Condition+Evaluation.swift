import Capture

extension Condition {
    /// Whether the condition holds for an event.
    ///
    /// `&&` and `||` stop at the first part that decides, as FraiseQL's do (its evaluator joins both sides with Rust's own `&&` and `||`): a field that is missing
    /// behind it is no error, and `has_field('f') && f > 1` is how to ask for one that may be missing.
    /// - Throws: `.missingField`, `.unsentField`, `.notNumber`, `.unknownChange`: there is no answer.
    package func evaluate(_ event: ObservedEvent) throws(ConditionError) -> Bool {
        try Self.evaluate(root, event)
    }

    private static func evaluate(_ node: Node, _ event: ObservedEvent) throws(ConditionError) -> Bool {
        switch node {
        case .comparison(let field, let comparison, let literal):
            guard let value = event.field(field) else { throw event.isUnsent(field) ? .unsentField(field) : .missingField(field) }
            return try compare(value, comparison, literal, field: field)
        case .hasField(let field): return event.field(field) != nil
        case .fieldChanged(let field): return try change(of: field, event) != nil
        case .fieldChangedTo(let field, let argument): return try change(of: field, event)?.new.map { matches($0, argument) } ?? false
        case .fieldChangedFrom(let field, let argument): return try change(of: field, event)?.old.map { matches($0, argument) } ?? false
        case .all(let nodes):
            for node in nodes where try !evaluate(node, event) { return false }
            return true
        case .any(let nodes):
            for node in nodes where try evaluate(node, event) { return true }
            return false
        case .not(let node): return try !evaluate(node, event)
        }
    }

    private static func compare(
        _ value: JSONValue, _ comparison: Comparison, _ literal: Literal, field: String
    ) throws(ConditionError) -> Bool {
        switch comparison {
        case .equal: return isEqual(value, literal)
        case .unequal: return !isEqual(value, literal)
        case .greater, .less, .atLeast, .atMost: break
        }
        guard value.kind == .number, let left = ExactNumber(value.text), case .number(let right) = literal else {
            throw .notNumber(field: field)
        }
        return switch comparison {
        case .greater: left > right
        case .less: left < right
        case .atLeast: left >= right
        case .atMost: left <= right
        case .equal: left == right
        case .unequal: left != right
        }
    }

    /// A number never equals a text, and nothing equals a list or an object.
    private static func isEqual(_ value: JSONValue, _ literal: Literal) -> Bool {
        switch literal {
        case .text(let text): value.string.map { $0.utf8.elementsEqual(text.utf8) } ?? false
        case .number(let number): value.kind == .number && ExactNumber(value.text) == number
        case .boolean(let boolean): value.text.elementsEqual((boolean ? "true" : "false").utf8)
        case .null: value.kind == .null
        }
    }

    private static func matches(_ value: JSONValue, _ argument: Argument) -> Bool {
        isEqual(value, argument.literal) || isEqual(value, .text(argument.text))
    }

    /// nil: the field has not changed.
    private static func change(
        of field: String, _ event: ObservedEvent
    ) throws(ConditionError) -> (old: JSONValue?, new: JSONValue?)? {
        switch event.change(of: field) {
        case .changed(let old, let new): return (old, new)
        case .unchanged: return nil
        case .unknown: throw .unknownChange(field: field)
        }
    }
}
