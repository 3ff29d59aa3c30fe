import Foundation
import Testing

/// Every text in the sources, whether or not a test can bring it about.
@Suite struct SourceTextTests {
    /// A literal, and where it stands.
    struct Literal: CustomStringConvertible {
        var place: String
        /// With `…` for what is interpolated.
        var text: String
        /// Whether it is part of what the operator is told to do.
        var isRemedy: Bool
        var description: String { "\(place): \(text)" }
    }

    /// `Sources`, from where this file was compiled.
    private static let sources = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Sources")

    static let literals: [Literal] = {
        guard let files = FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil) else { return [] }
        return files.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }.flatMap { file in
            SourceScan.literals(
                in: (try? String(contentsOf: file, encoding: .utf8)) ?? "", of: file.lastPathComponent)
        }
    }()

    @Test func commandsExist() {
        let commands = Self.literals.flatMap { PlainLanguage.commands(in: $0.text) }.compactMap { CommandLine($0) }
        #expect(commands.count > 30, "the sources are read")
        for command in commands { #expect(command.refusal == nil) }
    }

    @Test func sentencesHaveASubject() {
        for literal in Self.literals where !literal.isQuery {
            let faults = PlainLanguage.faults(in: literal.text)
            #expect(faults == [], "\(literal)")
        }
    }

    @Test func remediesArePlain() {
        let remedies = Self.literals.filter(\.isRemedy)
        #expect(remedies.count > 60, "remedies are found")
        for remedy in remedies {
            let faults = PlainLanguage.faults(inRemedy: remedy.text)
            #expect(faults == [], "\(remedy)")
        }
    }
}

extension SourceTextTests.Literal {
    /// SQL and subjects.
    fileprivate var isQuery: Bool { !text.contains(/[a-z]{2,} [a-z]{2,}/) || text.contains(/\b(SELECT|FROM|WHERE|ALTER|CREATE)\b/) }
}
