/// The lexical rules of Prometheus's text format 0.0.4.
///
/// Source: Prometheus, "Exposition formats", text-based format; "Data model", metric names and labels.
enum PrometheusText {
    /// A metric name: `[a-zA-Z_:][a-zA-Z0-9_:]*`, every other byte replaced by `_`.
    static func metricName(_ label: String) -> String {
        name(label, colonAllowed: true)
    }

    /// A label name: `[a-zA-Z_][a-zA-Z0-9_]*`, every other byte replaced by `_`.
    static func labelName(_ label: String) -> String {
        name(label, colonAllowed: false)
    }

    /// The pairs as they stand between `{` and `}`: sorted by name, values escaped, a name's last value only.
    ///
    /// Equal texts mean equal label sets, so the text is also a series' identity.
    /// - Parameter reserved: A name that the metric itself needs; a label so called gets a `_` at its end.
    static func labels(_ dimensions: [(String, String)], reserving reserved: String? = nil) -> String {
        var values: [String: String] = [:]
        for (label, value) in dimensions {
            let name = labelName(label)
            values[name == reserved ? name + "_" : name] = value
        }
        return values.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(escapedValue($0.value))\"" }
            .joined(separator: ",")
    }

    /// A HELP text: backslash and line feed escaped.
    static func escapedHelp(_ text: String) -> String {
        escaped(text, quoteEscaped: false)
    }

    /// A sample's value or a bucket's bound: whole numbers without a point, `+Inf`, `-Inf`, `NaN`.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return Int64(exactly: value).map(String.init) ?? value.description
    }

    /// Appends one sample line.
    /// - Parameter labels: As `labels(_:)` gives them; empty means none.
    static func appendSample(_ name: String, labels: String, value: String, to text: inout String) {
        text += name
        if !labels.isEmpty { text += "{\(labels)}" }
        text += " \(value)\n"
    }

    private static func escapedValue(_ text: String) -> String {
        escaped(text, quoteEscaped: true)
    }

    private static func escaped(_ text: String, quoteEscaped: Bool) -> String {
        var result = ""
        // By scalar: in a Character, CR LF are one, and the line feed would slip through.
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quoteEscaped: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func name(_ label: String, colonAllowed: Bool) -> String {
        var result = ""
        for byte in label.utf8 {
            let scalar = Unicode.Scalar(byte)
            switch scalar {
            case "a"..."z", "A"..."Z", "_":
                result.unicodeScalars.append(scalar)
            case ":" where colonAllowed:
                result.unicodeScalars.append(scalar)
            case "0"..."9":
                if result.isEmpty { result += "_" }
                result.unicodeScalars.append(scalar)
            default:
                result += "_"
            }
        }
        return result.isEmpty ? "_" : result
    }
}
