import JetStreamPublishing
import Observing
import SeededRandom
import Testing

@testable import ObserverWork

/// The order in which events are worked on.
@Suite struct JobScheduleTests {
    private let now = ContinuousClock.now

    private func job(_ sequence: UInt64, of entityID: String?) -> EventJob {
        let id = entityID.map { #","entity_id":"\#($0)""# } ?? ""
        let payload = Array(#"{"id":"e\#(sequence)","entity_type":"Order","operation":"INSERT"\#(id),"entity":{}}"#.utf8)
        let message = DeliveredMessage(
            stored: StoredMessage(subject: "p.Order.INSERT", sequence: sequence, headers: [], payload: payload), reply: "r", deliveryCount: 1,
            pendingCount: 0)
        return EventJob(message, event: ObservedEvent(payload: payload, messageID: nil), at: now)
    }

    private func sequences(_ schedule: inout JobSchedule, _ at: ContinuousClock.Instant) -> [UInt64] {
        var taken: [UInt64] = []
        while let job = schedule.take(at) { taken.append(job.sequence) }
        return taken
    }

    @Test func eventsOfOneEntityRunOneAfterAnother() {
        var schedule = JobSchedule()
        for sequence in UInt64(1)...3 { schedule.admit(job(sequence, of: "a")) }
        schedule.admit(job(4, of: "b"))
        schedule.admit(job(5, of: nil))
        schedule.admit(job(6, of: nil))
        #expect(sequences(&schedule, now) == [1, 4, 5, 6])
        schedule.end(1)
        #expect(sequences(&schedule, now) == [2])
        schedule.end(2)
        #expect(sequences(&schedule, now) == [3])
        #expect(schedule.count == 4)
    }

    @Test func aRetryHoldsTheLaterEventsOfItsEntity() {
        var schedule = JobSchedule()
        schedule.admit(job(1, of: "a"))
        schedule.admit(job(2, of: "a"))
        #expect(sequences(&schedule, now) == [1])
        schedule.postpone(1, until: now + .seconds(5))
        #expect(sequences(&schedule, now + .seconds(4)) == [])
        #expect(schedule.nextDue == now + .seconds(5))
        #expect(sequences(&schedule, now + .seconds(5)) == [1])
        schedule.end(1)
        #expect(sequences(&schedule, now) == [2])
    }

    @Test func aLateRedeliveryGoesBeforeWhatHasNotBegun() {
        var schedule = JobSchedule()
        schedule.admit(job(7, of: "a"))
        schedule.admit(job(5, of: "a"))
        schedule.admit(job(6, of: "a"))
        #expect(sequences(&schedule, now) == [5])
        schedule.end(5)
        #expect(sequences(&schedule, now) == [6])
        schedule.end(6)
        #expect(sequences(&schedule, now) == [7])
    }

    @Test func whatRunsIsNotOvertaken() {
        var schedule = JobSchedule()
        schedule.admit(job(7, of: "a"))
        #expect(sequences(&schedule, now) == [7])
        schedule.admit(job(5, of: "a"))
        #expect(sequences(&schedule, now) == [])
        schedule.end(7)
        #expect(sequences(&schedule, now) == [5])
    }

    @Test func givingUpLeavesWhatRuns() {
        var schedule = JobSchedule()
        for sequence in UInt64(1)...4 { schedule.admit(job(sequence, of: sequence < 3 ? "a" : nil)) }
        #expect(schedule.take(now)?.sequence == 1)
        #expect(schedule.giveUpIdle().map(\.sequence) == [2, 3, 4])
        #expect(schedule.running == [1])
        #expect(sequences(&schedule, now) == [])
        schedule.end(1)
        #expect(schedule.count == 0)
    }

    @Test func whatWaitsForAHostIsCountedWithWhatIsBehind() throws {
        var schedule = JobSchedule()
        for sequence in UInt64(1)...3 { schedule.admit(job(sequence, of: "a")) }
        schedule.admit(job(4, of: "b"))
        let taken = schedule.take(now)
        let first = try #require(taken)
        first.isParked = true
        schedule.postpone(1, until: now + .seconds(5))
        _ = schedule.take(now)
        #expect(schedule.count == 4 && schedule.parkedCount == 3)
        #expect(schedule.byteCount > 4 * 50)
        for sequence in UInt64(1)...4 { schedule.end(sequence) }
        #expect(schedule.count == 0 && schedule.parkedCount == 0 && schedule.byteCount == 0)
    }

    /// Whatever comes in whatever order: one at a time of an entity, each ends once, and of what was there together the earlier goes first.
    @Test(arguments: 0..<20)
    func noEntityRunsTwiceAtOnce(_ seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var schedule = JobSchedule()
        var next: UInt64 = 0
        var clock = now
        var running: [UInt64: String?] = [:]
        var ended: [UInt64] = []
        var entities: [UInt64: String?] = [:]
        for _ in 0..<2_000 {
            switch random.next() % 4 {
            case 0:
                next += 1
                let entity = random.next() % 3 == 0 ? nil : "\(random.next() % 4)"
                entities[next] = entity
                schedule.admit(job(next, of: entity))
            case 1:
                guard let taken = schedule.take(clock) else { continue }
                let entity = entities[taken.sequence] ?? nil
                if let entity { #expect(!running.values.contains(entity), "seed \(seed): two of \(entity) run") }
                if let entity {
                    let earlier = entities.filter { $0.value == entity && $0.key < taken.sequence }.keys
                    #expect(earlier.allSatisfy { ended.contains($0) }, "seed \(seed): \(taken.sequence) overtook")
                }
                running[taken.sequence] = entity
            case 2:
                guard let sequence = running.keys.min() else { continue }
                running[sequence] = nil
                ended.append(sequence)
                schedule.end(sequence)
            default:
                guard let sequence = running.keys.max() else { continue }
                running[sequence] = nil
                schedule.postpone(sequence, until: clock + .milliseconds(Int64(random.next() % 5)))
                clock += .milliseconds(1)
            }
        }
        for sequence in running.keys { schedule.end(sequence) }
        var rest = 0
        while let job = schedule.take(clock + .seconds(60)) {
            schedule.end(job.sequence)
            rest += 1
        }
        #expect(schedule.count == 0)
        #expect(ended.count + running.count + rest == Int(next), "seed \(seed)")
    }
}
