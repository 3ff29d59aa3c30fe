import History

/// Finds string literals in Swift's text, and whether they stand in a remedy.
enum SourceScan {
    /// In what a literal is a remedy: an argument of that label, or anything in these parentheses.
    private static let labels = ["remedy:", "hint:", "Steps.text("]

    static func literals(in source: String, of file: String) -> [SourceTextTests.Literal] {
        var literals: [SourceTextTests.Literal] = []
        var line = 1
        var depth = 0
        // Parentheses within which all is a remedy, and the argument that is one.
        var remedyDepth: Int?
        var isArgument = false
        var rest = Substring(source)
        while let character = rest.first {
            if rest.hasPrefix("//") {
                rest = rest.drop { $0 != "\n" }
                continue
            }
            if character == "\"" {
                let isMultiline = rest.hasPrefix("\"\"\"")
                let start = line
                let text = literal(&rest, isMultiline: isMultiline, &line)
                literals.append(
                    SourceTextTests.Literal(place: "\(file):\(start)", text: text, isRemedy: isArgument || remedyDepth != nil))
                continue
            }
            if let label = labels.first(where: rest.hasPrefix) {
                if label.hasSuffix("(") {
                    depth += 1
                    remedyDepth = remedyDepth ?? depth
                } else {
                    isArgument = true
                }
                rest = rest.dropFirst(label.count)
                continue
            }
            switch character {
            case "\n": line += 1
            case "(": depth += 1
            case ")":
                if remedyDepth == depth { remedyDepth = nil }
                depth -= 1
                isArgument = false
            case ",", "{", "}": isArgument = false
            default: break
            }
            rest = rest.dropFirst()
        }
        return literals
    }

    /// Reads a literal to its end; interpolations become `…`, and literals inside them are left out.
    private static func literal(_ rest: inout Substring, isMultiline: Bool, _ line: inout Int) -> String {
        let quote = isMultiline ? "\"\"\"" : "\""
        rest = rest.dropFirst(quote.count)
        var text = ""
        while let character = rest.first, !rest.hasPrefix(quote) {
            if rest.hasPrefix("\\(") {
                rest = rest.dropFirst(2)
                var depth = 1
                while depth > 0, let inner = rest.first {
                    if inner == "\"" {
                        _ = literal(&rest, isMultiline: false, &line)
                        continue
                    }
                    if inner == "(" { depth += 1 }
                    if inner == ")" { depth -= 1 }
                    rest = rest.dropFirst()
                }
                text += "…"
                continue
            }
            if character == "\\" {
                rest = rest.dropFirst()
                if let escaped = rest.first {
                    text += escaped == "n" ? "\n" : escaped == "\n" ? "" : String(escaped)
                    if escaped == "\n" {
                        line += 1
                        rest = rest.dropFirst().drop { $0 == " " }
                        continue
                    }
                }
            } else {
                if character == "\n" { line += 1 }
                text.append(character)
            }
            rest = rest.dropFirst()
        }
        rest = rest.dropFirst(quote.count)
        return text
    }
}
