import Foundation
import Testing

@testable import Pipeline

@Suite struct CodePagesTests {
    /// Kilobytes of files' code that are resident in this process.
    private static func residentCode() throws -> Int {
        var isCode = false
        var total = 0
        for line in try String(contentsOfFile: "/proc/self/smaps", encoding: .utf8).split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 1, fields[1].count == 4, fields[0].contains("-") {
                isCode = fields[1] == "r-xp" && fields.count > 5
            } else if isCode, fields.first == "Rss:" {
                total += Int(fields[1]) ?? 0
            }
        }
        return total
    }

    @Test func codeIsGivenBackAndTheProgramGoesOn() throws {
        let before = try Self.residentCode()
        CodePages.giveBack()
        let after = try Self.residentCode()
        #expect(after < before)
        CodePages.giveBack()
        #expect((1...1000).map { String($0) }.joined().count == 2893)
    }
}
