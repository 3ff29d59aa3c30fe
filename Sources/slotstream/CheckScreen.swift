import History

/// The findings as a person reads them, on a terminal of 80 columns.
enum CheckScreen {
    private static let width = 80
    private static let indentation = String(repeating: " ", count: 7)

    static func text(_ report: CheckReport) -> String {
        var lines: [String] = []
        for section in FindingID.Section.allCases {
            let findings = report.findings.filter { $0.section == section }
            guard !findings.isEmpty || report.summaries[section] != nil else { continue }
            lines.append(head(section, report.summaries[section] ?? "", findings))
            lines += findings.flatMap(self.lines)
        }
        return (lines + [last(report)]).joined(separator: "\n")
    }

    /// Title and what it is about at the left, what was found at the right.
    private static func head(_ section: FindingID.Section, _ summary: String, _ findings: [Finding]) -> String {
        let left = section.rawValue + String(repeating: " ", count: max(2, 12 - section.rawValue.count)) + summary
        let right = counts(findings.count { $0.severity == .error }, findings.count { $0.severity == .warning }, findings.count { $0.severity == .note })
        return left + String(repeating: " ", count: max(2, width - left.count - right.count)) + right
    }

    private static func counts(_ errors: Int, _ warnings: Int, _ notes: Int) -> String {
        let parts = [(errors, "error"), (warnings, "warning"), (notes, "note")].filter { $0.0 > 0 }
        return parts.isEmpty ? "ok" : parts.map { number($0.0, $0.1) }.joined(separator: ", ")
    }

    private static func number(_ count: Int, _ name: String) -> String { "\(count) \(name)\(count == 1 ? "" : "s")" }

    /// The finding's lines, wrapped, and behind them what mends it, which is never wrapped: it is pasted.
    private static func lines(_ finding: Finding) -> [String] {
        var lines = wrapped("\(finding.id.rawValue) \(ShownText.line(finding.sentence))")
        let fixes = finding.paste == nil ? Steps.lines(of: finding.fix) : [finding.mending]
        for (index, fix) in fixes.enumerated() { lines.append("\(indentation)\(index == 0 ? "fix:  " : "      ")\(fix)") }
        return lines
    }

    private static func wrapped(_ text: String) -> [String] {
        var lines: [String] = []
        var line = " "
        for word in text.split(separator: " ") {
            if line.count + 1 + word.count > width, line != indentation {
                lines.append(line)
                // The words of a line stand behind a blank each.
                line = String(indentation.dropLast())
            }
            line += " \(word)"
        }
        return lines + [line]
    }

    private static func last(_ report: CheckReport) -> String {
        if report.findings.isEmpty { return report.failures.isEmpty ? "no findings" : "no findings where the servers answered" }
        let summary = "\(number(report.count(.error), "error")), \(number(report.count(.warning), "warning"))."
        return report.script().isEmpty ? summary : "\(summary)   slotstream check --fix-sql | psql \(report.database ?? "DATABASE")"
    }
}
