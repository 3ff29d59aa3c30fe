import Foundation
import History
import Testing

@testable import Pipeline

/// What real servers sent, as `decode` prints it. The vectors are PGOutputTests'.
@Suite struct MessageListingTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("PGOutputTests/Vectors")

    private static func lines(of file: String) throws -> [String] {
        try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8).split(separator: "\n")
            .map(String.init)
    }

    @Test func everyMessageOfEveryVectorIsOneReadableLine() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path).filter {
            $0.hasSuffix(".hex")
        }
        #expect(files.count > 30)
        for file in files {
            var listing = MessageListing()
            for line in try Self.lines(of: file) {
                if line == "# session" { listing = MessageListing() }
                if line.hasPrefix("#") { continue }
                let text = try listing.line(line)
                #expect(
                    !text.isEmpty && !text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F }, "\(file)")
            }
        }
    }

    @Test func rowsAreListedWithTheirColumnsNames() throws {
        var listing = MessageListing()
        let lines = try Self.lines(of: "rows.16.hex").filter { !$0.hasPrefix("#") }.map { try listing.line("\\x" + $0) }
        #expect(lines[0].hasPrefix("BEGIN "))
        #expect(lines[1].contains("public.tb_order (*id, status, note, amount)"))
        #expect(lines[2] == "INSERT public.tb_order id='1' status='pending' note=NULL amount='12.50'")
        #expect(lines[3] == "INSERT public.tb_order id='2' status='' note='größer 東京 🚀' amount=NULL")
    }

    @Test(arguments: ["0", "zz", "+1", "0x42", "42 00", "\\x4", "é0"])
    func whatIsNotHexadecimalIsRefused(_ line: String) {
        var listing = MessageListing()
        #expect(throws: StreamerError.self) { try listing.line(line) }
        do throws(StreamerError) {
            _ = try listing.line(line)
        } catch {
            guard case .stop(.configuration, _, _) = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    @Test(arguments: ["", "42", "42000000000342ca20", "ff00"])
    func whatIsNotPgoutputIsRefusedWithItsOffset(_ line: String) {
        var listing = MessageListing()
        do throws(StreamerError) {
            Issue.record("listed as \(try listing.line(line))")
        } catch {
            guard case .decoding = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    @Test func aChangeOfATableThatWasNotDescribedIsListedByItsNumber() throws {
        let insert = try #require(Self.lines(of: "rows.16.hex").first { $0.hasPrefix("49") })
        var listing = MessageListing()
        #expect(try listing.line(insert).hasPrefix("INSERT relation "))
    }
}
