extension Shape where Value == [String] {
    private static func list(_ allowed: String, where isAllowed: @escaping @Sendable ([String]) -> Bool) -> Shape {
        Shape(
            allowed: allowed, isList: true, read: { raw in texts(raw).flatMap { isAllowed($0) ? $0 : nil } },
            show: { .list($0) })
    }

    /// Any texts but empty ones.
    static var words: Shape {
        list("a list of texts, none of them empty") { !$0.contains("") }
    }

    /// What `setup` puts into the publication.
    static var tablePatterns: Shape {
        var shape = list(
            "a list of \"schema.table\" with * and ? allowed, [\"*\"] alone for all tables, or [] in the file for none"
        ) { patterns in patterns == ["*"] || patterns.allSatisfy(isTable) }
        // A variable that is set to nothing is a mistake more often than it means that nothing is to be published.
        shape.read = { [read = shape.read] raw in raw == .text("") ? nil : read(raw) }
        return shape
    }

    /// What is not published.
    static var exclusions: Shape {
        list(
            "a list of \"schema.table\" or \"schema.table:OPERATION\" with * and ? allowed in the names; OPERATION is INSERT, UPDATE, DELETE, TRUNCATE or *"
        ) { $0.allSatisfy(isExclusion) }
    }

    private static func isExclusion(_ text: String) -> Bool {
        guard let colon = text.lastIndex(of: ":") else { return isTable(text) }
        return isTable(text[..<colon])
            && ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "*"].contains(text[text.index(after: colon)...])
    }
}

extension Shape where Value == [String: String] {
    /// `"schema.table" = "text"`.
    static var textOfTable: Shape {
        Shape(
            allowed: "\"schema.table\" = \"text\", the table's name in quotes\(oneSpelling)",
            read: { raw in
                table(raw) { value in
                    guard let text = value.string, !text.isEmpty else { return nil }
                    return text
                }
            },
            show: { .texts($0) })
    }
}

extension Shape where Value == [String: [String]] {
    /// `"schema.table" = ["column"]`.
    static var columnsOfTable: Shape {
        Shape(
            allowed: "\"schema.table\" = [\"column\"], the table's name in quotes, no column twice\(oneSpelling)",
            read: { raw in
                table(raw) { value in
                    guard let columns = texts(value), !columns.isEmpty, !columns.contains("") else { return nil }
                    let isEachOnce = Set(columns.map { Array($0.utf8) }).count == columns.count
                    return isEachOnce ? columns : nil
                }
            },
            show: { .lists($0) })
    }
}

extension Shape where Value == [String: [String: Configuration.ColumnMask]] {
    private static let textPrefix = "text:"

    /// `"schema.table" = { column = "hmac", column = "text:***" }`.
    static var masksOfTable: Shape {
        Shape(
            allowed:
                "\"schema.table\" = { column = \"hmac\" or \"text:…\" }, the table's name in quotes\(oneSpelling)",
            read: { raw in
                table(raw) { value in
                    guard case .table(let columns) = value, !columns.isEmpty, areToldApart(columns.keys) else {
                        return nil
                    }
                    var masks: [String: Configuration.ColumnMask] = [:]
                    for (name, value) in columns {
                        guard !name.isEmpty, let text = value.string else { return nil }
                        if text == "hmac" {
                            masks[name] = .hmac
                        } else if text.hasPrefix(textPrefix) {
                            masks[name] = .text(String(text.dropFirst(textPrefix.count)))
                        } else {
                            return nil
                        }
                    }
                    return masks
                }
            },
            show: { masks in
                .tables(
                    masks.mapValues { columns in
                        columns.mapValues { mask in
                            switch mask {
                            case .hmac: "hmac"
                            case .text(let text): textPrefix + text
                            }
                        }
                    })
            })
    }
}

extension Shape {
    /// The texts of a file's list, or of an untyped text with commas in it; an empty text is an empty list.
    private static func texts(_ raw: RawValue) -> [String]? {
        switch raw {
        case .text(""): return []
        case .text(let text):
            // Somebody's TOML, which would be one literal text.
            if raw.bracketed != nil { return nil }
            return text.split(separator: ",", omittingEmptySubsequences: false).map(trimmed)
        case .list(let values):
            let texts = values.compactMap(\.string)
            return texts.count == values.count ? texts : nil
        case .string, .integer, .boolean, .table, .unsupported:
            return nil
        }
    }

    /// What `areToldApart` demands, and how a variable has a table, for people.
    private static var oneSpelling: String {
        ", and no name in two spellings that Unicode takes for one; in a variable the same as a JSON object"
    }

    /// Whether no two of the names, taken without their `?`, are one to Swift and two to PostgreSQL, which compares bytes: of two spellings of é a dictionary keeps one,
    /// and the other's rule would be lost.
    private static func areToldApart(_ names: some Sequence<String>) -> Bool {
        Dictionary(grouping: names.map { RuleName($0).name }) { $0 }.values.allSatisfy { same in
            same.allSatisfy { $0.utf8.elementsEqual(same[0].utf8) }
        }
    }

    /// A table with `schema.table` keys; nil where a key is none or `read` refuses a value.
    private static func table<Element>(_ raw: RawValue, _ read: (RawValue) -> Element?) -> [String: Element]? {
        guard case .table(let values) = raw.jsonObject ?? raw, areToldApart(values.keys) else { return nil }
        var table: [String: Element] = [:]
        for (name, value) in values {
            guard isTable(RuleName(name).name), let element = read(value) else { return nil }
            table[name] = element
        }
        return table
    }

    /// `schema.table`: something on either side of the first dot.
    private static func isTable(_ text: some StringProtocol) -> Bool {
        guard let dot = text.utf8.firstIndex(of: UInt8(ascii: ".")) else { return false }
        return dot > text.utf8.startIndex && text.utf8.index(after: dot) < text.utf8.endIndex
            && !text.unicodeScalars.contains(where: isControl)
    }
}
