import Capture
import SeededRandom
import Synchronization
import Testing
import Threads
import WAL

@testable import Pipeline

@Suite struct RetainedWindowTests {
    /// An event of `byteCount` payload bytes whose contents follow from its index.
    private static func append(_ index: UInt64, _ byteCount: Int, to window: RetainedWindow) {
        let subject = Array("s.\(index)".utf8)
        let id = Array("id-\(index)".utf8)
        let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: index &* 31 &+ 7), count: byteCount)
        window.accept(
            EventHeader(
                position: Position(commitLSN: LSN(index), ordinal: 1), transactionID: TransactionID(1),
                commitTimestamp: PostgresTimestamp(Int64(index)), kindIndex: 0, isLast: true),
            subject: subject.span.bytes, messageID: id.span.bytes, payload: payload.span.bytes)
    }

    private static func eventByteCount(_ index: UInt64, _ payloadByteCount: Int) -> Int {
        "s.\(index)id-\(index)".utf8.count + payloadByteCount
    }

    /// Whether the event is whole and in its place; its payload's size.
    private static func check(_ index: UInt64, in window: RetainedWindow) -> Int? {
        guard window.header(at: index).position.commitLSN == LSN(index) else { return nil }
        var byteCount: Int?
        window.withEvent(at: index) { subject, id, payload in
            let value = UInt8(truncatingIfNeeded: index &* 31 &+ 7)
            let isWhole =
                subject.withUnsafeBufferPointer { $0.elementsEqual("s.\(index)".utf8) }
                && id.withUnsafeBufferPointer { $0.elementsEqual("id-\(index)".utf8) }
                && payload.withUnsafeBufferPointer { $0.allSatisfy { $0 == value } }
            if isWhole { byteCount = payload.count }
        }
        return byteCount
    }

    @Test func anEmptyWindowTakesOneEventOfAnySizeAlone() {
        let window = RetainedWindow(byteLimit: 1000)
        #expect(window.hasRoom(for: 100_000))
        Self.append(0, 100_000, to: window)
        #expect(!window.hasRoom(for: 1))
        #expect(Self.check(0, in: window) == 100_000)
        #expect(window.byteCount == Self.eventByteCount(0, 100_000))
        window.release(through: 1)
        #expect(window.byteCount == 0)
        #expect(window.hasRoom(for: 100_000))
    }

    @Test func thereIsRoomUpToTheByteLimitAndNotBeyond() {
        let window = RetainedWindow(byteLimit: 1000)
        Self.append(0, 500, to: window)
        let used = Self.eventByteCount(0, 500)
        #expect(window.hasRoom(for: 1000 - used))
        #expect(!window.hasRoom(for: 1000 - used + 1))
    }

    @Test func whatComesWithoutRoomIsKeptAllTheSame() {
        let window = RetainedWindow(byteLimit: 100)
        for index in 0..<50 as Range<UInt64> { Self.append(index, 40, to: window) }
        for index in 0..<50 as Range<UInt64> { #expect(Self.check(index, in: window) == 40) }
        window.release(through: 50)
        #expect(window.byteCount == 0)
        #expect(window.retainedCount == 0)
    }

    @Test func thereIsRoomUpToTheEntryLimitAndNotBeyond() {
        let window = RetainedWindow(byteLimit: 1 << 24)
        for index in 0..<UInt64(RetainedWindow.entryLimit) {
            #expect(window.hasRoom(for: 1))
            Self.append(index, 0, to: window)
        }
        #expect(!window.hasRoom(for: 1))
        window.release(through: 1)
        #expect(window.hasRoom(for: 1))
    }

    @Test(.timeLimit(.minutes(1)))
    func aTruncateOfVeryManyTablesNeverWaitsForTheOtherThread() {
        // Nobody releases anything: NATS is away, or the delivery thread has ended.
        let window = RetainedWindow(byteLimit: 1 << 20)
        let count = UInt64(6 * RetainedWindow.entryLimit + 5)
        for index in 0..<count { Self.append(index, 3, to: window) }
        #expect(window.retainedCount == Int(count))
        for index in [0, 1, 4095, 4096, 32_767, 32_768, count - 1] { #expect(Self.check(index, in: window) == 3) }
        window.release(through: count)
        Self.append(count, 9, to: window)
        #expect(Self.check(count, in: window) == 9)
    }

    @Test func anEventThatDoesNotFitBeforeTheRingsEndBeginsAtItsStart() {
        let window = RetainedWindow(byteLimit: 1000)
        var index: UInt64 = 0
        // Sizes that divide the ring at ever other places.
        for round in 0..<500 {
            Self.append(index, 250 + round % 150, to: window)
            #expect(Self.check(index, in: window) == 250 + round % 150)
            index += 1
            if index >= 2 { window.release(through: index - 1) }
            #expect(window.byteCount <= 1000)
        }
    }

    /// Both threads as they really are, at full speed: every event arrives whole, once, in order, and memory stays bounded.
    @Test(.timeLimit(.minutes(2)), arguments: [1, 2] as [UInt64])
    func twoThreadsHandOnEveryEventWholeAndInOrder(seed: UInt64) throws {
        let window = RetainedWindow(byteLimit: 20_000)
        let count: UInt64 = 60_000
        let damaged = Atomic<UInt64>(.max)
        let consumer = try OwnedThread(name: "consumer") {
            var random = SplitMix64(seed: seed &+ 99)
            var index: UInt64 = 0
            while index < count {
                let appended = window.appendedCount.load(ordering: .acquiring)
                guard index < appended else { continue }
                let end = min(appended, index + UInt64.random(in: 1...64, using: &random))
                while index < end {
                    if Self.check(index, in: window) == nil { damaged.store(index, ordering: .relaxed) }
                    index += 1
                }
                window.release(through: end)
            }
        }
        var random = SplitMix64(seed: seed)
        var largestOverrun = 0
        for index in 0..<count {
            let byteCount =
                switch Int.random(in: 0..<1000, using: &random) {
                case 0: Int.random(in: 15_000...40_000, using: &random)
                case 1..<50: Int.random(in: 1_000...5_000, using: &random)
                default: Int.random(in: 0...400, using: &random)
                }
            while !window.hasRoom(for: Self.eventByteCount(index, byteCount)) {}
            Self.append(index, byteCount, to: window)
            if window.retainedCount > 1 { largestOverrun = max(largestOverrun, window.byteCount - window.byteLimit) }
        }
        consumer.join()
        #expect(damaged.load(ordering: .relaxed) == .max, "seed \(seed)")
        #expect(window.retainedCount == 0)
        #expect(window.byteCount == 0)
        // Only what is skipped at the ring's end, or a lone large event's last moment, may exceed the limit.
        #expect(largestOverrun <= 41_000)
    }
}
