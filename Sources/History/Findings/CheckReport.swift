/// What `check` has found.
package struct CheckReport: Sendable {
    /// By section and severity.
    package private(set) var findings: [Finding]
    /// Servers that did not answer: a sentence each.
    package var failures: [String]
    /// What to do about each of them.
    package private(set) var remedies: [String] = []
    /// What each part of the screen is about.
    package var summaries: [FindingID.Section: String]
    /// The streamer's; nil: PostgreSQL did not say.
    package var database: String?

    /// - Parameter errors: What ended the reading of a server.
    package init(
        _ findings: [Finding], errors: [StreamerError] = [], summaries: [FindingID.Section: String] = [:], database: String? = nil
    ) {
        self.database = database
        var all = findings
        failures = []
        for error in errors {
            let known = Set(all.map(\.id))
            let found = error.checkFindings
            all += found.filter { !known.contains($0.id) }
            guard found.isEmpty else { continue }
            failures.append("\(error)")
            remedies.append(error.oneShotOutcome.remedy)
        }
        self.summaries = summaries
        let order = Array(FindingID.Section.allCases)
        self.findings = all.enumerated().sorted { left, right in
            func key(_ item: (offset: Int, element: Finding)) -> (Int, Int, Int) {
                (order.firstIndex(of: item.element.section) ?? 0, item.element.severity.rank, item.offset)
            }
            return key(left) < key(right)
        }.map(\.element)
    }

    /// How many there are of a severity.
    package func count(_ severity: Finding.Severity) -> Int { findings.count { $0.severity == severity } }

    /// - Parameter isStrict: Warnings count.
    package func status(isStrict: Bool) -> ExitStatus {
        if !failures.isEmpty { return .unreachable }
        return count(.error) > 0 || isStrict && count(.warning) > 0 ? .findings : .done
    }

    private struct Listing: Encodable {
        struct Item: Encodable {
            var id: String
            var severity: String
            var object: String
            var message: String
            var why: String
            var fix: String
        }

        let schema = "slotstream.check/1"
        var findings: [Item]
        /// Absent where both servers answered.
        var failures: [String]?
    }

    /// The object of `--json`.
    package func json() -> String {
        let items = findings.map { finding in
            Listing.Item(
                id: finding.id.rawValue, severity: finding.severity.rawValue, object: finding.object, message: finding.message,
                why: finding.why.isEmpty ? finding.id.meaning : finding.why, fix: finding.mending)
        }
        return ContractJSON.text(Listing(findings: items, failures: failures.isEmpty ? nil : failures))
    }

    /// Only the statements, for psql: those that take a decision as comments.
    package func script() -> String {
        findings.compactMap { finding in
            guard case .sql(let sql)? = finding.paste else { return nil }
            let head = "-- \(finding.id.rawValue) \(ShownText.line(finding.message))"
            return sql.isByHand ? "\(head)\n-- by hand: \(sql.text)" : "\(head)\n\(sql.text)"
        }.joined(separator: "\n")
    }
}

extension Finding {
    /// The part of the screen in which it stands.
    package var section: FindingID.Section {
        // Each server has a connection.
        id == .connectionOpenToOthers && object == Peer.nats.name ? .nats : id.section
    }
}

extension Finding.Severity {
    /// The gravest first.
    fileprivate var rank: Int {
        switch self {
        case .error: 0
        case .warning: 1
        case .note: 2
        }
    }
}

extension StreamerError {
    /// As ``findings``, and what stops a command for good though no check looks for it; empty: a server did not answer.
    fileprivate var checkFindings: [Finding] {
        if !findings.isEmpty { return findings }
        guard case .stop(let reason, let remedy) = FailurePolicy.verdict(on: self) else { return [] }
        return [Finding(.wouldStop, peer.name, description, why: "no command can start (\(reason.rawValue))", fix: remedy)]
    }
}
