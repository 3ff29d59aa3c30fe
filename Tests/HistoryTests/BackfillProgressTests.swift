import Capture
import HistoryFacts
import Testing
import WAL

@testable import History

extension CheckpointRecordTests {
    static var record: CheckpointRecord { RecoveryFacts.record() }
}

/// How far a run has come, as the record keeps it.
@Suite struct BackfillProgressTests {
    private static let at = "2026-11-23T07:09:12.123456+00:00"

    /// Run 3 walks the second of two tables, of 10 blocks.
    static func progress() -> BackfillProgress {
        var progress = BackfillProgress(
            request: BackfillRequest(run: 3, tables: ["public.tb_*"], condition: "n > 0", rate: 5, requestedAt: at, requestedBy: "ann"), startedAt: at,
            history: "h")
        progress.state = .walking
        progress.tables = [
            BackfillProgress.Table(oid: 100, name: "public.tb_a", published: "public.tb_a", publishedOid: 100),
            BackfillProgress.Table(oid: 201, name: "public.part", published: "public.tb_b", publishedOid: 200),
        ]
        progress.tableIndex = 1
        progress.pass = BackfillProgress.Pass(
            number: 2, filenode: 9, fingerprint: "f", blocks: 10, firstCount: 5, keyColumns: ["id"], hasUnsentColumns: true)
        progress.rereads = ["AAAAATE="]
        progress.isStale = true
        progress.base = "7.5.1.70.0000000000001000.3"
        return progress
    }

    private static func stored(_ places: BackfillPlace...) -> BackfillProgress {
        var progress = progress()
        for place in places {
            let id = MessageID(
                systemID: 7, databaseOID: 5, timeline: 1, transactionID: TransactionID(70), position: Position(commitLSN: LSN(0x1000), ordinal: 3),
                kind: .backfilled(place))
            progress.stored.take(id, isMarker: false)
        }
        return progress
    }

    private static func place(_ count: UInt64, run: UInt64 = 3, oid: UInt32 = 201, filenode: UInt32 = 9, block: UInt32 = 4) -> BackfillPlace {
        BackfillPlace(run: run, count: count, tableOID: oid, filenode: filenode, block: block, offset: 7)
    }

    @Test func theWalkGoesOnBehindTheLastRowOfItsPass() {
        let cursor = Self.stored(Self.place(5)).cursor
        #expect(cursor?.block == 4 && cursor?.offset == 7)
        // None of it: another table, another file, another pass, another run.
        for place in [Self.place(5, oid: 100), Self.place(5, filenode: 8), Self.place(4), Self.place(5, run: 2)] {
            #expect(Self.stored(place).cursor == nil, "\(place)")
        }
        #expect(Self.progress().cursor == nil)
        var progress = Self.stored(Self.place(5))
        progress.pass = nil
        #expect(progress.cursor == nil)
        progress = Self.stored(Self.place(5))
        progress.tableIndex = 2
        #expect(progress.cursor == nil && progress.table == nil)
    }

    @Test func aTableHasEndedWhereItsMarkerIsStored() {
        #expect(Self.stored(Self.place(6, block: BackfillMarker.endBlock)).isTableEnded)
        #expect(!Self.stored(Self.place(6, block: BackfillMarker.endBlock - 1)).isTableEnded)
        // That of the table before, or of a pass that began anew since.
        #expect(!Self.stored(Self.place(6, oid: 100, block: BackfillMarker.endBlock)).isTableEnded)
        #expect(!Self.stored(Self.place(4, block: BackfillMarker.endBlock)).isTableEnded)
    }

    @Test func thePartThatIsDoneCountsTablesAndBlocks() {
        var progress = Self.stored(Self.place(5))
        #expect(progress.fraction == 0.7)
        #expect(Self.stored(Self.place(5, block: 400)).fraction == 1)
        // The marker that ends the table before.
        #expect(Self.stored(Self.place(4, oid: 100, block: BackfillMarker.endBlock)).fraction == 0.5)
        progress.pass = nil
        #expect(progress.fraction == 0.5)
        progress.tableIndex = 2
        #expect(progress.fraction == 1)
        progress.tables = []
        #expect(progress.fraction == 0)
    }

    @Test func whatWasNotReadIsNamedUnlessAnotherHasTakenItsPlace() {
        var progress = Self.progress()
        #expect(progress.shortfall == nil)
        progress.tableIndex = 0
        progress.ended(isUnread: true)
        progress.ended(isUnread: true)
        progress.tableIndex = 1
        progress.ended(isUnread: true)
        #expect(progress.unread == [0, 1] && progress.shortfall?.hasSuffix(": public.tb_a, public.part") == true)
        // A partition that has left its table has nothing more to do with it, as long as that is there.
        progress.settleUnread(published: [100, 200])
        #expect(progress.unread == [0])
        progress.tables.append(BackfillProgress.Table(oid: 300, name: "public.tb_a", published: "public.tb_a", publishedOid: 300))
        progress.settleUnread(published: [300, 200])
        #expect(progress.unread == nil && progress.shortfall == nil)
        // It came back.
        progress.ended(isUnread: true)
        progress.settleUnread(published: [300])
        #expect(progress.unread == [1])
        progress.ended(isUnread: false)
        #expect(progress.unread == nil)
    }

    @Test func aRunThatBeginsAnewKeepsItsRequestAndItsNumbers() {
        var progress = Self.stored(Self.place(5))
        progress.beginAnew()
        #expect(progress.tableIndex == 0 && progress.pass == nil && progress.rereads == nil && progress.isStale == nil && progress.isLost == true)
        #expect(progress.request == Self.progress().request && progress.stored.count == 5 && progress.cursor == nil && progress.tables.count == 2)
    }

    // MARK: - The record

    private static func record(_ progress: BackfillProgress? = progress()) -> CheckpointRecord {
        var record = CheckpointRecordTests.record
        record.backfill = progress
        record.finishedBackfills = [
            FinishedBackfill(run: 1, state: .cancelled, tables: ["public.tb_a"], rows: 3, startedAt: at, endedAt: at, why: "because"),
            FinishedBackfill(run: 2, state: .done, tables: ["public.tb_a"], rows: 4, startedAt: at, endedAt: at),
        ]
        record.backfilledTables = ["public.tb_a"]
        record.isFirstBackfillDue = false
        return record
    }

    @Test func readsBackWhatItWrote() throws {
        for progress in [Self.progress(), Self.stored(Self.place(5), Self.place(7)), BackfillProgress(request: Self.progress().request, startedAt: Self.at, history: "h")] {
            #expect(try CheckpointRecord(json: Self.record(progress).json()) == Self.record(progress))
        }
        #expect(try CheckpointRecord(json: Self.record(nil).json()).backfill == nil)
    }

    /// A streamer of before has written none of it.
    @Test func aRecordOfBeforeHasNoBackfill() throws {
        let text = String(decoding: CheckpointRecordTests.record.json(), as: UTF8.self)
        #expect(!text.contains("ackfill"))
        let record = try CheckpointRecord(json: Array(text.utf8))
        #expect(record.backfill == nil && record.finishedBackfills == nil && record.backfilledTables == nil && record.isFirstBackfillDue == nil)
    }

    @Test func membersOfALaterVersionAreNotMinded() throws {
        let text = String(decoding: Self.record().json(), as: UTF8.self)
        var changed = text
        for name in ["request", "pass", "stored"] {
            #expect(changed.contains("\"\(name)\":{"), "\(name)")
            changed = changed.replacing("\"\(name)\":{", with: "\"\(name)\":{\"a_later_one\":[1,{\"b\":null}],")
        }
        changed = changed.replacing(#"{"oid":"#, with: #"{"kept_for":"x","oid":"#).replacing(#""backfill":{"#, with: #""backfill":{"shards":2,"#)
        #expect(try changed != text && CheckpointRecord(json: Array(changed.utf8)) == Self.record())
    }

    @Test func anotherRecordsBackfillsAreGoneOnWith() {
        var taken = RecoveryFacts.record(confirmed: .invalid, lastID: nil, lastSequence: 0)
        let before = taken
        taken.takeBackfills(of: Self.record())
        #expect(taken.backfill == Self.progress() && taken.finishedBackfills == Self.record().finishedBackfills)
        #expect(taken.backfilledTables == ["public.tb_a"] && taken.isFirstBackfillDue == false)
        #expect(taken.confirmedLsn == before.confirmedLsn && taken.lastSequence == 0)
        taken.takeBackfills(of: nil)
        #expect(taken == before)
    }
}
