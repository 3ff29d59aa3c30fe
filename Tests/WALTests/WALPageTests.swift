import Testing
import WAL

@Suite struct WALPageTests {
    private static let page: UInt64 = 0x3_0160_2000

    /// No record ends there: a walsender that has sent all there is stands at the page's start for as long as nothing is written.
    @Test(arguments: [0, 24, 40] as [UInt64])
    func behindAPagesHeaderNothingIsWritten(_ offset: UInt64) {
        #expect(WALPage.written(LSN(Self.page + offset)) == LSN(Self.page))
    }

    @Test(arguments: [41, 48, 8_191] as [UInt64])
    func elsewhereAllUpToThereIs(_ offset: UInt64) {
        #expect(WALPage.written(LSN(Self.page + offset)) == LSN(Self.page + offset))
    }
}
