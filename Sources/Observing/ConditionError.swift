/// What is wrong with a condition, or why it could not be answered for an event. Never carries row data.
package enum ConditionError: Error, Sendable, Equatable {
    /// The text is longer than a condition may be.
    case tooLong(byteCount: Int)
    /// At that byte, what is wrong and what is allowed.
    case syntax(offset: Int, String)
    /// The row has no such field.
    case missingField(String)
    /// The row has the field, and PostgreSQL did not send its value.
    case unsentField(String)
    /// An operator of order, and a field that is no number, or a value in the condition that is none.
    case notNumber(field: String)
    /// The UPDATE does not tell whether the field has changed.
    case unknownChange(field: String)
}

extension ConditionError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooLong(let byteCount): "the condition has \(byteCount) bytes; at most \(Condition.byteCountLimit) are allowed"
        case .syntax(let offset, let what): "the condition is wrong at offset \(offset): \(what)"
        case .missingField(let field):
            "the row has no field \(field). Correct the name. Where a row may lack the field, as a deleted row lacks all outside its replica identity, "
                + "ask has_field('\(field)') first: has_field('\(field)') && …"
        case .unsentField(let field):
            "PostgreSQL did not send \(field): the UPDATE did not touch the value, which is stored apart (TOAST). "
                + "Run ALTER TABLE … REPLICA IDENTITY FULL for the table, or ask has_field('\(field)') first"
        case .notNumber(let field): "> < >= <= compare numbers only: \(field) is no number, or the value beside the operator is none"
        case .unknownChange(let field):
            "the UPDATE does not tell whether \(field) has changed. Run ALTER TABLE … REPLICA IDENTITY FULL for the table, or remove field_changed"
        }
    }
}
