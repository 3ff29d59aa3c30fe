import Capture
import Foundation
import PostgresReplication
import Synchronization
import Testing
import Threads
import WAL

@testable import Pipeline

/// What the page shows of the time before now.
@Suite struct RecentActivityTests {
    private let observations = Observations(slot: "s", stream: "n", readyMaxLagBytes: 0, metrics: RecordingMetrics())

    private func json() throws -> [String: Any] {
        let object = try JSONSerialization.jsonObject(with: Data(observations.recentActivity().json().utf8))
        return try #require(object as? [String: Any])
    }

    @Test func anHourOfSamplesIsKeptAndNotOneMore() throws {
        let start = Instant.now
        observations.sample(at: start)
        #expect(try json()["at"] == nil, "the first only begins")
        for number in 1...400 {
            observations.eventCount.add(UInt64(number), ordering: .relaxed)
            observations.sample(at: start + .seconds(10) * number)
        }
        let said = try json()
        let rates = try #require(said["events_per_second"] as? [Double])
        #expect(rates.count == 360 && rates.last == 40 && rates.first == 4.1)
        for column in ["lag_seconds", "lag_bytes", "retained_bytes", "stored_p99_seconds"] {
            #expect((said[column] as? [Any])?.count == 360, "\(column)")
        }
        #expect(said["interval_seconds"] as? Double == 10)
    }

    @Test func whatWasNotKnownIsNull() throws {
        observations.sample(at: .now)
        observations.sample(at: .now + .seconds(10))
        observations.saw(SlotState(name: "s", restartLSN: LSN(100), confirmedFlushLSN: LSN(156), currentWALLSN: LSN(156)))
        observations.sample(at: .now + .seconds(20))
        let said = try json()
        #expect((said["lag_bytes"] as? [Any])?.map { $0 as? Int } == [nil, 0])
        #expect((said["retained_bytes"] as? [Any])?.map { $0 as? Int } == [nil, 56])
        #expect((said["stored_p99_seconds"] as? [Any])?.map { $0 as? Double } == [nil, nil])
    }

    @Test func theSameErrorAgainIsCountedAndTheOldestOfManyIsForgotten() throws {
        for _ in 0..<3 { observations.failed("unreachable", "gone") }
        observations.failed("timed_out", String(repeating: "x", count: 5000))
        let first = try #require(try json()["errors"] as? [[String: Any]])
        #expect(first.map { $0["reason"] as? String } == ["timed_out", "unreachable"])
        #expect(first.map { $0["count"] as? Int } == [1, 3])
        #expect((first[0]["message"] as? String)?.count == 1024)
        for number in 0..<30 { observations.failed("unreachable", "\(number)") }
        let errors = try #require(try json()["errors"] as? [[String: Any]])
        #expect(errors.map { $0["message"] as? String } == (10..<30).reversed().map { "\($0)" })
    }

    @Test func theLatestEventsAreNamedByPositionNewestFirst() throws {
        observations.texts.withLock { $0.eventKinds = [EventKind(entity: "Order", operation: "INSERT")] }
        observations.storedMemory.withLock { memory in
            for number in 1...25 {
                let id = MessageID("1.5.1.735.00000000016B3748.\(number)")
                guard let id else { continue }
                // The last kind is not announced yet.
                memory.latest.append(
                    StoredMemory.Event(kind: number == 25 ? 1 : 0, id: id, sequence: UInt64(number), committedAt: PostgresTimestamp(0)))
            }
        }
        let events = try #require(try json()["events"] as? [[String: Any]])
        #expect(events.map { $0["sequence"] as? Int } == Array((6...24).reversed()))
        #expect(events[0]["id"] as? String == "1.5.1.735.00000000016B3748.24" && events[0]["entity"] as? String == "Order")
    }
}
