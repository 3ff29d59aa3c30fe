import CMallocCounter
import Foundation
import Testing
import WAL

@testable import Capture
@testable import History

/// Which rows may go out as they were read, and which have to be read again; ``BackfillModelTests`` has what follows from both.
@Suite struct TouchedRowsTests {
    static func key(_ text: String) -> RowKey {
        var key = RowKey()
        Array(text.utf8).withUnsafeBytes { key.append($0) }
        return key
    }

    private static func change(
        _ id: UInt32, _ key: String?, old: String? = nil, isWhole: Bool = true, isKeyUnknown: Bool = false
    ) -> RowChange {
        RowChange(
            relation: RelationID(1), transactionID: TransactionID(id), position: Position(commitLSN: LSN(UInt64(id) * 0x10), ordinal: 1),
            key: key.map(Self.key), oldKey: old.map(Self.key), isWhole: isWhole, isKeyUnknown: isKeyUnknown)
    }

    private static func snapshot(_ text: String) throws -> TransactionSnapshot { try #require(TransactionSnapshot(text, lsn: LSN(0x10_000))) }

    private static func rows(rereads: [String] = []) -> TouchedRows {
        var rows = TouchedRows(keyColumns: ["id"], collectsRereads: true, rereads: rereads.map(key))
        rows.beginReading()
        return rows
    }

    // MARK: - What no snapshot shows

    @Test func aRowIsTouchedUntilASnapshotShowsAllWhoTouchedIt() throws {
        var rows = Self.rows()
        rows.changed(Self.change(100, "a"))
        rows.changed(Self.change(100, "b", old: "c"))
        rows.changed(Self.change(101, "a"))
        #expect(["a", "b", "c"].allSatisfy { rows.isTouched(Self.key($0)) } && !rows.isTouched(Self.key("d")))
        try rows.shown(by: Self.snapshot("100:101:100"))
        #expect(["a", "b", "c"].allSatisfy { rows.isTouched(Self.key($0)) } && rows.hasPending)
        try rows.shown(by: Self.snapshot("101:102:101"))
        #expect(rows.isTouched(Self.key("a")) && !rows.isTouched(Self.key("b")) && !rows.isTouched(Self.key("c")))
        try rows.shown(by: Self.snapshot("102:102:"))
        #expect(!rows.isTouched(Self.key("a")) && !rows.hasPending)
    }

    @Test func aRowThatIsGoneIsTouched() {
        var rows = Self.rows()
        rows.changed(Self.change(100, nil, old: "a"))
        #expect(rows.isTouched(Self.key("a")))
    }

    /// Each would cost as much as all before it: 1.2 GB for these. Counted in a process of its own, where nothing else allocates.
    @Test func theKeysOfALargeTransactionAreNotCopiedForEachOfItsChanges() async {
        await #expect(processExitsWith: .success) {
            let changes = (0..<10_000).map { Self.change(100, "key \($0)", old: "key \($0 + 10_000)") }
            var rows = Self.rows()
            malloc_counter_start()
            for change in changes { rows.changed(change) }
            _ = malloc_counter_stop()
            // A count of nothing is no proof.
            precondition(rows.isTouched(Self.key("key 0")) && rows.isTouched(Self.key("key 19999")))
            exit(malloc_counter_byte_count() < 200_000_000 ? EXIT_SUCCESS : EXIT_FAILURE)
        }
    }

    /// Of a table without key it is only known that somebody has written.
    @Test func changesWithoutAKeyArePending() throws {
        var rows = TouchedRows(keyColumns: [], collectsRereads: true)
        rows.beginReading()
        rows.changed(Self.change(100, nil, isWhole: false))
        #expect(rows.hasPending && rows.takeOverflow() == nil && rows.rereads.isEmpty)
        try rows.shown(by: Self.snapshot("101:101:"))
        #expect(!rows.hasPending)
    }

    @Test func nothingIsPendingOfWhatCameBeforeSomebodyReads() {
        var rows = TouchedRows(keyColumns: ["id"], collectsRereads: true)
        rows.changed(Self.change(100, "a", isWhole: false))
        #expect(!rows.hasPending && !rows.isReading)
        rows.beginReading()
        rows.changed(Self.change(101, "b"))
        rows.beginReading()
        #expect(!rows.hasPending && !rows.isTouched(Self.key("b")) && rows.isReading)
        rows.changed(Self.change(102, "b"))
        rows.endReading()
        #expect(!rows.hasPending && !rows.isTouched(Self.key("b")) && rows.rereads == [Self.key("a")])
    }

    @Test func moreThanCanBeHeldIsToldOnce() {
        var rows = TouchedRows(keyColumns: ["id"], collectsRereads: false)
        rows.beginReading()
        let long = String(repeating: "k", count: 64 << 10)
        for id in 0..<UInt32(TouchedRows.pendingByteLimit >> 16) {
            #expect(rows.takeOverflow() == nil)
            // The same row once more takes no more room.
            for _ in 0..<3 { rows.changed(Self.change(100 + id, "\(id) \(long)")) }
        }
        #expect(rows.takeOverflow() == .pending && rows.takeOverflow() == nil)
        rows.beginReading()
        rows.changed(Self.change(1_000, "a"))
        #expect(rows.takeOverflow() == nil)
    }

    /// What a snapshot shows gives its room back, to the last byte.
    @Test func roomIsGivenBack() throws {
        var rows = TouchedRows(keyColumns: ["id"], collectsRereads: false)
        rows.beginReading()
        let long = String(repeating: "k", count: 64 << 10)
        for id in 0..<UInt32(4 * TouchedRows.pendingByteLimit >> 16) {
            rows.changed(Self.change(100 + id, "\(id) \(long)", old: "a"))
            if id % 16 == 15 { try rows.shown(by: Self.snapshot("\(101 + id):\(101 + id):")) }
            #expect(rows.takeOverflow() == nil, "\(id)")
        }
    }

    @Test func aKeyThatIsNotKnownMayBeAnyRows() {
        var rows = Self.rows()
        rows.changed(Self.change(100, nil, isKeyUnknown: true))
        #expect(rows.takeOverflow() == .rereads)
        rows.endReading()
        rows.changed(Self.change(101, nil, isKeyUnknown: true))
        #expect(rows.takeOverflow() == nil)
    }

    // MARK: - What is to be read again

    @Test func aRowWhoseEventLacksColumnsIsReadAgainUntilAnEventTellsAllOfIt() {
        var rows = Self.rows()
        for (change, expected) in [
            (Self.change(1, "a", isWhole: false), ["a"]), (Self.change(2, "b", isWhole: false), ["a", "b"]), (Self.change(3, "a"), ["b"]),
            // With another key it is another row, which lacks them too.
            (Self.change(4, "c", old: "b", isWhole: false), ["c"]), (Self.change(5, "d", old: "c"), []), (Self.change(6, "d", isWhole: false), ["d"]),
            (Self.change(7, nil, old: "d"), []),
        ] {
            rows.changed(change)
            #expect(rows.rereads == Set(expected.map(Self.key)), "\(change.transactionID)")
        }
    }

    @Test func whereEachEventIsWholeNothingIsReadAgain() {
        var rows = TouchedRows(keyColumns: ["id"], collectsRereads: false)
        rows.changed(Self.change(1, "a", isWhole: false))
        #expect(rows.rereads.isEmpty && rows.takeOverflow() == nil)
    }

    /// Whoever goes on after a crash has to read again what is perhaps not stored.
    @Test func aRowThatWasReadIsKeptUntilItIsStored() {
        var rows = Self.rows(rereads: ["a", "b"])
        #expect(Set(rows.unsettled(storedCount: 0)) == [Self.key("a"), Self.key("b")] && !rows.hasChanged(storedCount: 0))
        rows.wasRead(Self.key("a"), appendedCount: 7)
        rows.wasRead(Self.key("x"), appendedCount: 8)
        #expect(rows.rereads == [Self.key("b")] && rows.hasChanged(storedCount: 6))
        #expect(Set(rows.unsettled(storedCount: 6)) == [Self.key("a"), Self.key("b")] && !rows.hasChanged(storedCount: 6))
        #expect(rows.hasChanged(storedCount: 7) && rows.unsettled(storedCount: 7) == [Self.key("b")])
        // An event that lacks columns may come between the row and the time when it is stored.
        rows.wasRead(Self.key("b"), appendedCount: 9)
        rows.changed(Self.change(1, "b", isWhole: false))
        #expect(Set(rows.unsettled(storedCount: 9)) == [Self.key("b")])
        rows.forgetRereads()
        #expect(rows.hasChanged(storedCount: 9) && rows.unsettled(storedCount: 9) == [])
    }

    @Test func moreThanCanBeRememberedIsTold() {
        var rows = Self.rows()
        // Each with its length before it.
        for number in 1_000_000..<1_000_000 + TouchedRows.rereadByteLimit / 11 { rows.changed(Self.change(1, "\(number)", isWhole: false)) }
        #expect(rows.takeOverflow() == nil)
        rows.changed(Self.change(1, "1000001", isWhole: false))
        #expect(rows.takeOverflow() == nil)
        rows.changed(Self.change(1, "one more", isWhole: false))
        #expect(rows.takeOverflow() == .rereads && rows.takeOverflow() == nil)
        rows.forgetRereads()
        let long = String(repeating: "k", count: TouchedRows.rereadByteLimit / 2 - 8)
        // What is settled has left its room.
        for number in 0..<8 {
            rows.changed(Self.change(2, "\(number)\(long)", isWhole: false))
            rows.changed(Self.change(2, "\(number)\(long)"))
        }
        rows.changed(Self.change(2, "a\(long)", isWhole: false))
        #expect(rows.takeOverflow() == nil)
        rows.changed(Self.change(2, "b\(long)", isWhole: false))
        rows.changed(Self.change(2, "a third", isWhole: false))
        #expect(rows.takeOverflow() == .rereads)
    }
}
