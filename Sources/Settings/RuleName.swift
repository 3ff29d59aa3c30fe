/// A table or a column as `[events.columns]` names it: a `?` at its end says that it may be absent.
struct RuleName: Equatable {
    let name: String
    let mayBeAbsent: Bool

    init(_ text: String) {
        mayBeAbsent = text.last == "?" && text.utf8.count > 1
        name = mayBeAbsent ? String(text.dropLast()) : text
    }
}

extension Configuration.Events {
    /// `excludedColumns` by the names themselves.
    var excludedNames: [String: [String]] {
        Dictionary(
            excludedColumns.map { (RuleName($0.key).name, $0.value.map { RuleName($0).name }) },
            uniquingKeysWith: +)
    }

    /// `masks` by the names themselves.
    var maskedNames: [String: [String: Configuration.ColumnMask]] {
        Dictionary(
            masks.map { table, columns in
                (
                    RuleName(table).name,
                    Dictionary(
                        columns.map { (RuleName($0.key).name, $0.value) }, uniquingKeysWith: { first, _ in first })
                )
            }, uniquingKeysWith: { first, second in first.merging(second) { first, _ in first } })
    }
}
