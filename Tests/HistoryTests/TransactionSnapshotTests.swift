import History
import Testing
import WAL

@Suite struct TransactionSnapshotTests {
    private static let lsn = LSN(0x50_0000_0000)

    private static func shows(_ text: String, _ id: UInt32, at lsn: LSN = lsn) throws -> Bool {
        try #require(TransactionSnapshot(text, lsn: Self.lsn)).shows(TransactionID(id), committedAt: lsn)
    }

    @Test func showsWhatHadEnded() throws {
        let text = "100:110:102,107"
        #expect(try [3, 99, 100, 101, 103, 109].allSatisfy { try Self.shows(text, $0) })
        #expect(try [102, 107, 110, 111, 5_000].allSatisfy { try !Self.shows(text, $0) })
        #expect(try Self.shows("100:100:", 99) && !Self.shows("100:100:", 100))
    }

    /// Ids have 32 bits in events, and 64 in a snapshot.
    @Test func idsGoOnBehindTheLastOfAnEpoch() throws {
        let epoch: UInt64 = 3 << 32
        let text = "\(epoch - 6):\(epoch + 4):\(epoch - 2),\(epoch + 1)"
        #expect(try [UInt32.max - 6, UInt32.max - 4, UInt32.max, 3].allSatisfy { try Self.shows(text, $0) })
        #expect(try [UInt32.max - 1, 1, 4, 1_000].allSatisfy { try !Self.shows(text, $0) })
        #expect(try #require(TransactionSnapshot(text, lsn: Self.lsn)).full(TransactionID(UInt32.max)) == epoch - 1)
        #expect(try #require(TransactionSnapshot("3:4:", lsn: Self.lsn)).full(TransactionID(UInt32.max)) == 0)
    }

    /// The same 32 bits can be those of a transaction that ended an epoch ago.
    @Test func whatCommittedAnEpochOfWALAgoIsShownWhateverItsID() throws {
        let long = LSN(Self.lsn.rawValue - (1 << 37))
        #expect(try Self.shows("100:110:102", 102, at: long) && Self.shows("100:110:102", 4_000, at: long))
        #expect(try !Self.shows("100:110:102", 102, at: LSN(long.rawValue + 1)))
    }

    @Test(arguments: ["", "1", "1:2", "2:1:", "1:2:x", "1:2:3:4", "-1:2:", "a:b:c"])
    func whatIsNoSnapshotIsRefused(_ text: String) {
        #expect(TransactionSnapshot(text, lsn: Self.lsn) == nil)
    }
}
