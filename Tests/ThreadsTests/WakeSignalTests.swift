import Glibc
import Synchronization
import Testing
import Threads
import WAL

@Suite struct WakeSignalTests {
    @Test func aSignalBeforeTheWaitEndsItAtOnce() throws {
        let wake = try WakeSignal()
        wake.signal()
        wake.signal()
        let began = Instant.now
        wake.wait(timeout: .seconds(20))
        #expect(Instant.now.duration(since: began) < .seconds(30))
    }

    @Test func withoutASignalTheWaitEndsWithItsTime() throws {
        let wake = try WakeSignal()
        let began = Instant.now
        wake.wait(timeout: .milliseconds(20))
        #expect(Instant.now.duration(since: began) >= .milliseconds(19))
    }

    @Test func aSignalThatWasTakenDoesNotEndTheNextWait() throws {
        let wake = try WakeSignal()
        wake.signal()
        wake.wait(timeout: .seconds(20))
        let began = Instant.now
        wake.wait(timeout: .milliseconds(20))
        #expect(Instant.now.duration(since: began) >= .milliseconds(19))
    }

    @Test func otherDescriptorsEndTheWaitToo() throws {
        let wake = try WakeSignal()
        var descriptors: [Int32] = [-1, -1]
        #expect(pipe(&descriptors) == 0)
        defer { for descriptor in descriptors { close(descriptor) } }
        var byte: UInt8 = 1
        #expect(write(descriptors[1], &byte, 1) == 1)
        let began = Instant.now
        wake.wait(for: [(descriptors[0], false)], timeout: .seconds(20))
        #expect(Instant.now.duration(since: began) < .seconds(30))
    }

    /// Each waits for the other's number, which is published before the signal: a wake-up that is lost would hold both for the whole timeout.
    @Test(.timeLimit(.minutes(10)))
    func noWakeUpIsLostBetweenTwoThreads() throws {
        let wakes = [try WakeSignal(), try WakeSignal()]
        let shared = Numbers()
        let rounds = 30_000
        @Sendable func wait(_ wake: WakeSignal) {
            let began = Instant.now
            wake.wait(timeout: .seconds(30))
            if Instant.now.duration(since: began) > .seconds(25) { shared.lost.add(1, ordering: .relaxed) }
        }
        let late = try OwnedThread(name: "pong") {
            for round in 1...rounds {
                while shared.ping.load(ordering: .acquiring) < round { wait(wakes[1]) }
                shared.pong.store(round, ordering: .releasing)
                wakes[0].signal()
            }
        }
        for round in 1...rounds {
            shared.ping.store(round, ordering: .releasing)
            wakes[1].signal()
            while shared.pong.load(ordering: .acquiring) < round { wait(wakes[0]) }
        }
        late.join()
        #expect(shared.lost.load(ordering: .relaxed) == 0)
    }

    /// Signals that come much faster than they are waited for: what was published before the last one is seen.
    @Test(.timeLimit(.minutes(1)))
    func theLastOfManySignalsIsSeen() throws {
        let wake = try WakeSignal()
        let shared = Numbers()
        for burst in 1...300 {
            let goal = burst * 1_000
            let sender = try OwnedThread(name: "sender") {
                for _ in 0..<1_000 {
                    shared.ping.add(1, ordering: .releasing)
                    wake.signal()
                }
            }
            let began = Instant.now
            while shared.ping.load(ordering: .acquiring) < goal { wake.wait(timeout: .seconds(30)) }
            #expect(Instant.now.duration(since: began) < .seconds(20))
            sender.join()
        }
    }

    private final class Numbers: Sendable {
        let ping = Atomic<Int>(0)
        let pong = Atomic<Int>(0)
        /// Waits that ended with their time.
        let lost = Atomic<Int>(0)
    }
}
