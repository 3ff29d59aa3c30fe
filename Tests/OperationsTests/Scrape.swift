/// Prometheus text read back by the format's own rules, without anything of the code that wrote it.
///
/// Source: Prometheus, "Exposition formats", text-based format. Stricter than a server: it also wants each family in
/// one piece, no series twice, and histograms that add up.
struct Scrape {
    struct Sample: Equatable {
        var name: String
        var labels: [String: String]
        var value: Double
    }

    struct Violation: Error {
        let line: String
        let rule: String
    }

    var kinds: [String: String] = [:]
    var helps: [String: String] = [:]
    var samples: [Sample] = []

    init(_ text: String) throws {
        guard text.isEmpty || text.hasSuffix("\n") else { throw Violation(line: "", rule: "ends with a line feed") }
        var family = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: true).map(String.init) {
            if line.hasPrefix("# ") {
                let parts = line.split(separator: " ", maxSplits: 3).map(String.init)
                guard parts.count == 4 else { throw Violation(line: line, rule: "# KEYWORD name text") }
                if parts[1] == "HELP" {
                    guard helps.updateValue(parts[3], forKey: parts[2]) == nil, kinds[parts[2]] == nil else {
                        throw Violation(line: line, rule: "one HELP, before TYPE")
                    }
                } else {
                    guard parts[1] == "TYPE", kinds.updateValue(parts[3], forKey: parts[2]) == nil else {
                        throw Violation(line: line, rule: "one TYPE, families in one piece")
                    }
                    family = parts[2]
                }
                continue
            }
            let sample = try Self.sample(line)
            let suffixes = kinds[family] == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
            guard suffixes.contains(where: { family + $0 == sample.name }) else {
                throw Violation(line: line, rule: "a sample stands under its TYPE")
            }
            guard !samples.contains(where: { $0.name == sample.name && $0.labels == sample.labels }) else {
                throw Violation(line: line, rule: "no series twice")
            }
            samples.append(sample)
        }
        try checkHistograms()
    }

    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        samples.first { $0.name == name && $0.labels == labels }?.value
    }

    private static func sample(_ line: String) throws -> Sample {
        var rest = Substring(line)
        func fail(_ rule: String) -> Violation { Violation(line: line, rule: rule) }
        let name = rest.prefix { $0 != "{" && $0 != " " }
        guard name.wholeMatch(of: /[a-zA-Z_:][a-zA-Z0-9_:]*/) != nil else { throw fail("metric name") }
        rest = rest.dropFirst(name.count)
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest = rest.dropFirst()
            while rest.first != "}" {
                let label = rest.prefix { $0 != "=" }
                guard label.wholeMatch(of: /[a-zA-Z_][a-zA-Z0-9_]*/) != nil else { throw fail("label name") }
                rest = rest.dropFirst(label.count)
                guard rest.hasPrefix("=\"") else { throw fail("=\" after a label name") }
                rest = rest.dropFirst(2)
                var value = String.UnicodeScalarView()
                var scalars = rest.unicodeScalars
                while let next = scalars.popFirst(), next != "\"" {
                    guard next == "\\" else {
                        value.append(next)
                        continue
                    }
                    switch scalars.popFirst() {
                    case "\\": value.append("\\")
                    case "\"": value.append("\"")
                    case "n": value.append("\n")
                    default: throw fail("an escape is \\\\, \\\" or \\n")
                    }
                }
                rest = Substring(scalars)
                guard labels.updateValue(String(value), forKey: String(label)) == nil else { throw fail("label twice") }
                if rest.first == "," { rest = rest.dropFirst() } else if rest.first != "}" { throw fail(", or }") }
            }
            rest = rest.dropFirst()
        }
        guard rest.first == " ", let value = Double(rest.dropFirst()) else { throw fail("a value") }
        return Sample(name: String(name), labels: labels, value: value)
    }

    private func checkHistograms() throws {
        for name in kinds.filter({ $0.value == "histogram" }).keys {
            for count in samples.filter({ $0.name == name + "_count" }) {
                let buckets = samples.filter { sample in
                    var labels = sample.labels
                    return sample.name == name + "_bucket" && labels.removeValue(forKey: "le") != nil
                        && labels == count.labels
                }
                let bounds = buckets.compactMap { Double($0.labels["le"] ?? "") }
                guard bounds == bounds.sorted(), bounds.last == .infinity, bounds.count == buckets.count else {
                    throw Violation(line: name, rule: "bounds ascend to +Inf")
                }
                guard buckets.map(\.value) == buckets.map(\.value).sorted(), buckets.last?.value == count.value else {
                    throw Violation(line: name, rule: "buckets are cumulative, the last is the count")
                }
                guard value(name + "_sum", count.labels) != nil else { throw Violation(line: name, rule: "a sum") }
            }
        }
    }
}
