import Foundation

/// A page of documentation: its links, its headings, its commands and its sentences.
struct Page: CustomStringConvertible, Sendable {
    /// From the checkout's folder.
    let path: String
    let text: String
    var description: String { path }

    init(path: String) throws {
        self.path = path
        text = try String(contentsOf: Self.checkout.appending(path: path), encoding: .utf8)
    }

    init(path: String, text: String) {
        self.path = path
        self.text = text
    }

    /// The checkout, from where this file was compiled.
    static let checkout = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// What users read: the README and the pages behind it.
    static let forUsers = pages { $0 == "README.md" || $0.hasPrefix("deploy/docs/") }

    /// Every page, the modules' own included.
    static let all = pages { path in
        ["Tests/", "Sources/", "deploy/"].contains(where: path.hasPrefix) || !path.contains("/")
    }

    private static func pages(where isWanted: (String) -> Bool) -> [Page] {
        guard
            let files = FileManager.default.enumerator(
                at: checkout, includingPropertiesForKeys: nil, options: [.skipsHiddenFiles])
        else { return [] }
        let root = checkout.path(percentEncoded: false)
        return files.compactMap { ($0 as? URL)?.path(percentEncoded: false) }
            .filter { $0.hasSuffix(".md") && $0.hasPrefix(root) }
            .map { String($0.dropFirst(root.count)) }.filter(isWanted).sorted().compactMap { try? Page(path: $0) }
    }

    /// The lines, each with whether it belongs to a block of code.
    private var lines: [(text: Substring, isCode: Bool)] {
        var isCode = false
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let isFence = line.trimmingCharacters(in: .whitespaces).hasPrefix("```")
            if isFence { isCode.toggle() }
            return (line, isCode || isFence)
        }
    }

    /// What the links of GitHub's rendering to this page's headings end in.
    var anchors: Set<String> {
        Set(
            lines.filter { !$0.isCode && $0.text.hasPrefix("#") }.map { line in
                let title = line.text.drop { $0 == "#" }.trimmingCharacters(in: .whitespaces).lowercased()
                return String(title.filter { $0.isLetter || $0.isNumber || "-_ ".contains($0) })
                    .replacing(" ", with: "-")
            })
    }

    /// The targets of all links and pictures.
    var links: [String] {
        lines.filter { !$0.isCode }.flatMap { line in
            line.text.replacing(/`[^`]*`/, with: "code").matches(of: /\]\(([^)\s]+)\)/).map { String($0.output.1) }
        }
    }

    /// The command lines of the program: between backticks, and in blocks of code, with or without a prompt.
    var commands: [CommandLine] {
        lines.flatMap { line -> [CommandLine] in
            guard line.isCode else { return PlainLanguage.commands(in: String(line.text)).compactMap { CommandLine($0) } }
            let command = line.text.trimmingCharacters(in: .whitespaces)
            // The first line that `status` prints: the program with its version.
            if command.contains(/^slotstream [0-9]/) { return [] }
            return [CommandLine(command.hasPrefix("$ ") ? String(command.dropFirst(2)) : command)].compactMap { $0 }
        }
    }

    /// Paragraphs, list items and rows of tables, each on one line, without code and without the targets of links.
    var paragraphs: [String] {
        var paragraphs: [String] = [""]
        for line in lines {
            let text = line.text.trimmingCharacters(in: .whitespaces)
            let isHeading = text.hasPrefix("#")
            if line.isCode || isHeading || text.contains(/^(?:$|\||<!--|[-*] |[0-9]+\. )/) { paragraphs.append("") }
            if line.isCode || isHeading { continue }
            paragraphs[paragraphs.count - 1] += paragraphs.last == "" ? text : " \(text)"
        }
        return paragraphs.filter { !$0.isEmpty }.map { paragraph in
            paragraph.replacing(/`[^`]*`/, with: "…").replacing(/\[([^\]]*)\]\([^)]*\)/) { String($0.output.1) }
        }
    }
}
