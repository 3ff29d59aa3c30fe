/// When an observer acts: FraiseQL's language of conditions, read once and asked for each event.
///
/// `field OP value` with `== != > < >= <=`; `has_field('f')`, `field_changed('f')`, `field_changed_to('f', 'v')`, `field_changed_from('f', 'v')`; `!`, `&&`, `||` and
/// parentheses. `&&` binds closer than `||`. A field may have `data.` before it.
package struct Condition: Sendable, Equatable {
    /// Of the text.
    package static let byteCountLimit = 4_096
    /// Of `!` and parentheses within each other.
    package static let depthLimit = 64
    /// Of one function.
    package static let argumentCountLimit = 32

    /// As it was written.
    package let text: String
    /// What reads otherwise than whoever wrote it may think.
    package let warnings: [String]
    let root: Node

    /// A part of a condition. Not deeper than `depthLimit` allows, so that what walks it may call itself.
    indirect enum Node: Sendable, Equatable {
        case comparison(field: String, Comparison, Literal)
        case hasField(String)
        case fieldChanged(String)
        case fieldChangedTo(String, Argument)
        case fieldChangedFrom(String, Argument)
        case all([Node])
        case any([Node])
        case not(Node)
    }

    /// The operators, the longer ones first.
    enum Comparison: String, CaseIterable, Sendable {
        case equal = "=="
        case unequal = "!="
        case atLeast = ">="
        case atMost = "<="
        case greater = ">"
        case less = "<"
    }

    /// A value beside an operator.
    enum Literal: Sendable, Equatable {
        case text(String)
        case number(ExactNumber)
        case boolean(Bool)
        case null
    }

    /// A value in a function's quotes. FraiseQL reads it as JSON where it is JSON, `'100'` as a number; here it also stands for the text itself.
    struct Argument: Sendable, Equatable {
        let text: String
        let literal: Literal
    }

    /// Reads a condition.
    /// - Throws: `.tooLong`, `.syntax`.
    package init(parsing text: String) throws(ConditionError) {
        guard text.utf8.count <= Self.byteCountLimit else { throw .tooLong(byteCount: text.utf8.count) }
        var parser = ConditionParser(text)
        root = try parser.condition()
        warnings = parser.warnings
        self.text = text
    }
}
