/// Instructions in the order in which they are carried out, as one text without line breaks: `1. Do this. 2. Do that.`
///
/// A log's field and a JSON text hold it as it is; a terminal shows ``lines(of:)``.
package enum Steps {
    /// - Parameter steps: Sentences without a last full stop, each with one instruction.
    package static func text(_ steps: [String]) -> String {
        steps.enumerated().map { "\($0.offset + 1). \($0.element)" }.joined(separator: ". ")
    }

    /// - Parameter preface: Facts that are to be known before; sentences without a last full stop.
    package static func text(_ preface: String, _ steps: [String]) -> String { "\(preface). \(text(steps))" }

    /// A line for what is before the steps, and one for each step, without their last full stops; any other text is one line.
    package static func lines(of text: String) -> [String] {
        var lines: [[Substring]] = [[]]
        var number = 1
        for word in text.split(separator: " ") {
            if word == "\(number)." {
                lines.append([])
                number += 1
            }
            lines[lines.count - 1].append(word)
        }
        return lines.filter { !$0.isEmpty }.map { words in
            let line = words.joined(separator: " ")
            return line.hasSuffix(".") ? String(line.dropLast()) : line
        }
    }
}
