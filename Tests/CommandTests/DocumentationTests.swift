import Foundation
import ObserverWork
import Testing

@testable import Settings

/// The README and the pages behind it: their tables are the code's, their commands and links exist, their words are plain.
@Suite struct DocumentationTests {
    /// Writes the tables into the pages instead of only comparing them.
    private static let isRewriting = ProcessInfo.processInfo.environment["REWRITE_PAGES"] != nil

    @Test(arguments: Page.forUsers)
    func generatedTablesAreThoseOfTheCode(_ page: Page) throws {
        let renewed = try ReferenceTables.renewed(page.text)
        if Self.isRewriting {
            try renewed.write(to: Page.checkout.appending(path: page.path), atomically: true, encoding: .utf8)
            return
        }
        let old = page.text.split(separator: "\n"), new = renewed.split(separator: "\n")
        for line in new.difference(from: old) {
            Issue.record("\(line): run `REWRITE_PAGES=1 swift test --filter DocumentationTests`")
        }
    }

    @Test func everyTableOfTheCodeStandsOnAPage() {
        let written = Set(Page.forUsers.flatMap { ReferenceTables.names(in: $0.text) })
        #expect(written == Set(ReferenceTables.all.keys))
    }

    @Test func aPageThatDiffersFromTheCodeIsSeen() throws {
        let page = "<!-- generated: metrics. By hand -->\n| a table | of before |\n<!-- end of metrics -->\n"
        #expect(try ReferenceTables.renewed(page).contains("slotstream_up"))
        #expect(throws: ReferenceTables.UnknownTable.self) {
            try ReferenceTables.renewed("<!-- generated: nonsense. -->\n<!-- end of nonsense -->")
        }
    }

    @Test(arguments: Page.all)
    func linksLeadSomewhere(_ page: Page) throws {
        for link in page.links where !link.contains("://") {
            let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            let folder = URL(filePath: "/" + page.path).deletingLastPathComponent()
            let target =
                parts[0].isEmpty
                ? page.path
                : String(folder.appending(path: String(parts[0])).standardized.path(percentEncoded: false).dropFirst())
            let file = Page.checkout.appending(path: target).path(percentEncoded: false)
            #expect(FileManager.default.fileExists(atPath: file), "\(page): no \(link)")
            guard parts.count == 2, target.hasSuffix(".md") else { continue }
            #expect(try Page(path: target).anchors.contains(String(parts[1])), "\(page): no heading \(link)")
        }
    }

    @Test(arguments: Page.all)
    func commandsExist(_ page: Page) {
        for command in page.commands { #expect(command.refusal == nil, "\(page)") }
    }

    @Test(arguments: Page.forUsers)
    func sentencesArePlain(_ page: Page) {
        for paragraph in page.paragraphs {
            let faults = PlainLanguage.faults(in: paragraph)
            #expect(faults == [], "\(page): \(paragraph)")
        }
    }

    @Test func theREADMEIsOfOneReading() throws {
        let lines = try Page(path: "README.md").text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count <= 151, "150 lines and a line feed behind the last")
        for line in lines { #expect(line.count <= 100, "\(line)") }
    }

    /// Of rows that begin with a key, also where somebody wrote the table by hand.
    @Test(arguments: Page.forUsers)
    func defaultsAreTheProgramsOwn(_ page: Page) {
        for row in page.text.matches(of: /(?m)^\| `([a-z_]+\.[a-z_.]+)` \| `([^`]*)` \|/) {
            let key = String(row.output.1)
            #expect(ConfigurationKey.byPath[key]?.show(Configuration()).toml == String(row.output.2), "\(page): \(key)")
        }
    }

    @Test func everyPageIsFoundFromTheREADME() throws {
        let links = try Page(path: "README.md").links
        for page in Page.forUsers where page.path != "README.md" {
            #expect(links.contains { $0.hasPrefix(page.path) }, "\(page)")
        }
    }

    @Test func pagesAreRead() {
        #expect(Page.forUsers.count > 8)
        #expect(Page.forUsers.flatMap(\.commands).count > 60)
        #expect(Page(path: "x.md", text: "See [b](c.md#d) and\n```\n[no](link)\n$ slotstream run | cat\n```\n`x`").links == ["c.md#d"])
        #expect(Page(path: "x.md", text: "```\n$ slotstream rewind\n```").commands.first?.refusal != nil)
        #expect(Page(path: "x.md", text: "## `[a.b]` and: More\n").anchors == ["ab-and-more"])
        #expect(Page(path: "x.md", text: "# A heading\nOne `x`,\nand [a](b.md).\n- an item\n").paragraphs == ["One …, and a.", "- an item"])
    }

    /// What `slotstream-observer setup --print-nats-permissions` prints is what the page has, and a test has tried line by line.
    @Test func theWorkersRightsAreThoseOfThePage() throws {
        let loaded = try Configuration.load(
            flags: ["transport.nats.stream_name": "shop", "transport.nats.consumer_name": "observer", "observer_worker.database": "true"],
            environment: [:], workingDirectory: "/nowhere")
        let block = try WorkerConfiguration.read(loaded, environment: [:]).configuration.rights.lines
        let page = try Page(path: "deploy/docs/observer.md").text
        #expect(page.contains("```\n" + block.joined(separator: "\n") + "\n```"), "\(block.joined(separator: "\n"))")
    }
}
