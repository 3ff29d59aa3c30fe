/// `${VAR}` and `${VAR:-default}` in the file's strings.
///
/// As in a shell, `:-` also stands in for a variable that is set but empty. The default ends at the brace that matches, and may hold variables itself.
/// A `$` that no `{` follows is itself.
enum Interpolation {
    /// Why a string could not be completed.
    enum Failure: Error, Equatable {
        /// The variable of this name is not set, and there is no default.
        case unset(String)
        /// No closing brace, or what stands between them is no name.
        case malformed
    }

    /// Defaults within defaults, at most: more is a mistake, and each costs stack.
    private static let depthLimit = 8

    /// - Returns: nil where the text holds no variable.
    static func expand(
        _ text: String, _ environment: [String: String], depth: Int = 0
    ) throws(Failure) -> String? {
        guard depth < depthLimit else { throw .malformed }
        var result = ""
        var rest = Substring(text)
        var didExpand = false
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[rest.index(after: dollar)...]
            guard rest.first == "{" else {
                result += "$"
                continue
            }
            guard let end = matchingBrace(rest) else { throw .malformed }
            let inside = rest[rest.index(after: rest.startIndex)..<end]
            result += try value(of: inside, environment, depth)
            rest = rest[rest.index(after: end)...]
            didExpand = true
        }
        return didExpand ? result + rest : nil
    }

    private static func value(
        of inside: Substring, _ environment: [String: String], _ depth: Int
    ) throws(Failure) -> String {
        let name = inside.prefix { $0 == "_" || ($0.isASCII && ($0.isLetter || $0.isNumber)) }
        let rest = inside[name.endIndex...]
        guard let first = name.first, !first.isNumber, rest.isEmpty || rest.hasPrefix(":-") else { throw .malformed }
        let value = environment[String(name)]
        if rest.isEmpty {
            guard let value else { throw .unset(String(name)) }
            return value
        }
        if let value, !value.isEmpty { return value }
        let fallback = String(rest.dropFirst(2))
        return try expand(fallback, environment, depth: depth + 1) ?? fallback
    }

    /// The index of the `}` that closes the `{` at the beginning of `text`.
    private static func matchingBrace(_ text: Substring) -> Substring.Index? {
        var depth = 0
        for index in text.indices {
            switch text[index] {
            case "{": depth += 1
            case "}":
                depth -= 1
                if depth == 0 { return index }
            default: break
            }
        }
        return nil
    }
}
