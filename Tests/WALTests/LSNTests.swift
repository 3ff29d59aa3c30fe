import Testing
import WAL

@Suite struct LSNTests {
    @Test(
        arguments: [
            ("0/0", 0), ("0/1", 1), ("16/B374D848", 0x16_B374_D848), ("FFFFFFFF/FFFFFFFF", UInt64.max),
            ("1/0", 0x1_0000_0000),
        ] as [(String, UInt64)])
    func readsAndPrintsWhatPostgreSQLPrints(text: String, value: UInt64) {
        #expect(LSN(text) == LSN(value))
        #expect(LSN(value).description == text)
    }

    @Test func readsLowerCaseAndLeadingZeros() {
        #expect(LSN("00000016/b374d848") == LSN(0x16_B374_D848))
    }

    @Test(arguments: [
        "", "/", "0", "0/", "/0", "0/0/0", "0/000000000", "000000001/0", "g/0", "0/-1", "-1/0", "+1/0", "0/+1", " 0/0",
        "0/0 ",
        "0x1/0", "٣/0",
    ])
    func refusesEverythingElse(text: String) {
        #expect(LSN(text) == nil)
    }

    @Test func countsBytesForwardsOnly() {
        #expect(LSN(10).byteCount(since: LSN(4)) == 6)
        #expect(LSN(4).byteCount(since: LSN(10)) == 0)
        #expect(LSN(4).byteCount(since: LSN(4)) == 0)
        #expect(LSN(.max).byteCount(since: .invalid) == .max)
    }

    @Test func sortsByPosition() {
        #expect(LSN(0xFFFF_FFFF) < LSN(0x1_0000_0000))
        #expect(!LSN.invalid.isValid)
        #expect(LSN(1).isValid)
    }
}
