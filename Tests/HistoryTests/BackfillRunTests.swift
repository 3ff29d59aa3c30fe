import Testing
import WAL

@testable import History

@Suite struct BackfillRunTests {
    private static let at = "2026-11-23T07:09:12.123456+00:00"

    private func request(_ run: UInt64 = 0, _ wish: BackfillRequest.Wish = .run) -> BackfillRequest {
        var request = BackfillRequest(run: run, tables: ["public.tb_*"], requestedAt: Self.at, requestedBy: "ann")
        request.wish = wish
        return request
    }

    private func record(_ progress: BackfillProgress? = nil, finished: [UInt64] = []) -> CheckpointRecord {
        var record = CheckpointRecord(
            systemId: "1", timeline: 1, slot: "s", owner: "", confirmedLsn: "0/1", lastSequence: 0, stream: "S", streamCreated: "", options: "",
            genesis: CheckpointRecord.Genesis(kind: "created", lsn: "0/1", at: Self.at))
        record.backfill = progress
        record.finishedBackfills = finished.map {
            FinishedBackfill(run: $0, state: $0 % 2 == 0 ? .done : .cancelled, tables: ["public.tb_a"], rows: $0, startedAt: Self.at, endedAt: Self.at, why: "because")
        }
        return record
    }

    private func progress(_ run: UInt64, _ state: BackfillProgress.State) -> BackfillProgress {
        var progress = BackfillProgress(request: request(run), startedAt: Self.at, history: "h")
        progress.state = state
        progress.tables = ["public.part_a", "public.part_b"].map {
            BackfillProgress.Table(oid: 1, name: $0, published: "public.tb_part", publishedOid: 2)
        }
        progress.tableIndex = 1
        progress.finishedRows = 7
        return progress
    }

    @Test func aRunIsWhatRequestAndRecordSayTogether() throws {
        let runs = BackfillRun.all(BackfillRequests(requests: [request(3), request(4, .pause), request(5)]), record(progress(4, .walking), finished: [2, 3]))
        #expect(runs.map(\.run) == [2, 3, 4, 5])
        #expect(runs.map(\.state) == [.done, .cancelled, .walking, .waiting])
        #expect(runs.map(\.pendingWish) == [nil, nil, .pause, .run].map { $0 == .run ? nil : $0 })
        #expect(runs[0].request == nil && runs[0].fraction == 1 && runs[1].fraction == nil && runs[1].why == "because")
        #expect(runs[2].tables == ["public.tb_part"] && runs[2].table == "public.part_b" && runs[2].rows == 7 && runs[2].fraction == 0.5)
        #expect(runs[3].tables == ["public.tb_*"] && runs[3].rows == 0 && runs[3].fraction == nil)
    }

    @Test(arguments: [
        (BackfillProgress.State.paused, BackfillRequest.Wish.run, BackfillRequest.Wish.run as BackfillRequest.Wish?), (.paused, .pause, nil),
        (.walking, .run, nil), (.walking, .pause, .pause), (.failed, .cancel, .cancel), (.failed, .run, nil), (.preparing, .cancel, .cancel),
    ])
    func aWishIsPendingUntilItIsDone(_ state: BackfillProgress.State, _ wish: BackfillRequest.Wish, _ pending: BackfillRequest.Wish?) {
        #expect(BackfillRun.all(BackfillRequests(requests: [request(4, wish)]), record(progress(4, state)))[0].pendingWish == pending)
    }

    @Test func aNumberIsNeverGivenTwice() {
        var requests = BackfillRequests()
        #expect(requests.add(request(), nil) == 1)
        #expect(requests.add(request(), record(progress(6, .walking))) == 7)
        #expect(requests.add(request(), record(finished: [1, 9])) == 10)
        // Those that are over are forgotten.
        #expect(requests.requests.map(\.run) == [7, 10])
        #expect(BackfillRequests(json: requests.json()) == requests)
    }

    @Test func noMoreAreOpenThanTheRecordKeepsEndsOf() {
        var requests = BackfillRequests()
        for number in 1...UInt64(BackfillRequests.openLimit) { #expect(requests.add(request(), nil) == number) }
        #expect(requests.add(request(), nil) == nil)
        #expect(requests.requests.count == BackfillRequests.openLimit)
        #expect(requests.add(request(), record(finished: [1])) == UInt64(BackfillRequests.openLimit) + 1)
        #expect(requests.want(.cancel, of: 2) && !requests.want(.cancel, of: 1))
        #expect(requests.requests[0].wish == .cancel)
    }

    @Test(arguments: ["", "{}", #"{"schema":"slotstream.backfill_requests/2","requests":[]}"#, #"{"schema":"slotstream.backfill_requests/1"}"#])
    func whatIsNoneIsNone(_ text: String) { #expect(BackfillRequests(json: Array(text.utf8)) == nil) }
}
