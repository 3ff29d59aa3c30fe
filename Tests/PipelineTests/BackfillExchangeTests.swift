import Capture
import Foundation
import History
import Synchronization
import Testing
import Threads
import WAL

@testable import Pipeline

/// What two threads share: a reset by either lets nothing of before count, and takes nothing away that was sent since.
@Suite struct BackfillExchangeTests {
    private static func exchange() throws -> BackfillExchange { try BackfillExchange(wakeSource: {}) }

    private static func chunk(_ byteCount: Int) -> BackfillWork {
        var rows = ReadRows(columnCount: 1)
        rows.beginRow(ReadRows.TupleID(block: 0, offset: 1))
        Array(repeating: UInt8(ascii: "x"), count: byteCount).withUnsafeBytes { rows.append($0) }
        guard let snapshot = TransactionSnapshot("3:3:", lsn: LSN(1)) else { preconditionFailure("it is a snapshot") }
        return .rows(
            BackfillChunk(
                rows: rows, snapshot: snapshot, lsn: LSN(1), readAt: .now,
                table: BackfillProgress.Table(oid: 1, name: "public.t", published: "public.t", publishedOid: 1), filenode: 1, keyIndices: [0]))
    }

    /// As the thread that reads the stream: it looks, and lets go of what was given up.
    private static func look(_ exchange: BackfillExchange) -> UInt64? { exchange.first()?.number }

    @Test func whatIsSentIsGivenInOrder() throws {
        let exchange = try Self.exchange()
        #expect(!exchange.hasWork && Self.look(exchange) == nil)
        for text in ["a", "b"] { exchange.send(.note(text)) }
        #expect(exchange.hasWork)
        for expected in ["a", "b"] {
            let (number, work) = try #require(exchange.first())
            guard case .note(expected) = work else {
                Issue.record("\(work)")
                return
            }
            // Until it is done it is the first.
            #expect(Self.look(exchange) == number)
            exchange.done(number)
        }
        #expect(Self.look(exchange) == nil && !exchange.hasWork)
    }

    @Test func roomIsByBytesOfRows() throws {
        let exchange = try Self.exchange()
        #expect(exchange.makeRoom())
        exchange.send(Self.chunk(BackfillExchange.byteLimit))
        exchange.send(.pause)
        #expect(exchange.look.byteCount >= BackfillExchange.byteLimit)
        exchange.done(try #require(Self.look(exchange)))
        #expect(exchange.look.byteCount == 0 && exchange.makeRoom())
        exchange.send(Self.chunk(9))
        exchange.reset(.pending)
        #expect(exchange.look.byteCount == 0 && exchange.look.queue.isEmpty)
    }

    /// Of a table that a condition leaves nothing of, chunks are read faster than the stream is decoded up to them.
    @Test func chunksWithoutRowsTakeRoomToo() throws {
        let exchange = try Self.exchange()
        for _ in 1..<BackfillExchange.countLimit { exchange.send(.note(nil)) }
        #expect(exchange.look.hasRoom)
        exchange.send(.note(nil))
        #expect(!exchange.look.hasRoom && exchange.look.byteCount == 0)
        exchange.done(try #require(Self.look(exchange)))
        #expect(exchange.makeRoom())
    }

    // MARK: - Resets

    /// The other thread comes between the look at a piece of work and its end.
    @Test(arguments: [BackfillExchange.Reset.pending, .table(why: "x")])
    func whatIsDoneOfBeforeAResetTakesNothingOfAfterIt(_ reset: BackfillExchange.Reset) throws {
        let exchange = try Self.exchange()
        exchange.send(Self.chunk(100))
        let old = try #require(Self.look(exchange))
        exchange.reset(reset)
        // Nothing is there.
        exchange.done(old)
        #expect(exchange.look.queue.isEmpty && exchange.look.byteCount == 0)
        #expect(Self.look(exchange) == nil)
        #expect(exchange.takeReset() == reset)
        exchange.send(Self.chunk(200))
        let byteCount = exchange.look.byteCount
        exchange.done(old)
        #expect(exchange.look.queue.count == 1 && exchange.look.byteCount == byteCount)
        let next = try #require(Self.look(exchange))
        #expect(next != old)
        exchange.done(next)
        #expect(exchange.look.queue.isEmpty && exchange.look.byteCount == 0)
    }

    @Test func whatWasReadBeforeAResetThatItsReaderDoesNotKnowOfIsDropped() throws {
        let exchange = try Self.exchange()
        exchange.reset(.pending)
        exchange.send(Self.chunk(100))
        exchange.send(.pause)
        #expect(Self.look(exchange) == nil && exchange.look.byteCount == 0)
        #expect(!exchange.settle() && !exchange.makeRoom() && !exchange.perform(.pause))
        #expect(exchange.takeReset() == .pending)
        #expect(exchange.settle() && exchange.makeRoom())
        exchange.send(.pause)
        #expect(Self.look(exchange) != nil)
    }

    /// Two resets are one for whoever takes them; what asks for more is kept.
    @Test func whatAsksForMoreIsKept() throws {
        for (resets, kept) in [
            ([.pending, .truncated(RelationID(1))], .truncated(RelationID(1))), ([.table(why: "a"), .pending], .table(why: "a")), ([.failed(why: "a"), .pending], .failed(why: "a")),
            ([.pending, .pending], .pending), ([.truncated(RelationID(1)), .pending], .truncated(RelationID(1))),
        ] as [([BackfillExchange.Reset], BackfillExchange.Reset)] {
            let exchange = try Self.exchange()
            for reset in resets { exchange.reset(reset) }
            _ = exchange.first()
            #expect(exchange.takeReset() == kept && exchange.look.reset == nil)
            #expect(exchange.takeReset() == nil)
        }
    }

    private final class Watch: Sendable {
        let wakeCount = Atomic<Int>(0)
        let taken = Mutex<BackfillExchange.Reset?>(nil)

        var count: Int { wakeCount.load(ordering: .acquiring) }
    }

    /// Whoever begins anew before the other has let go would have it go on with rows of before.
    @Test func aResetIsTakenOnceTheOtherThreadHasLetGo() throws {
        let watch = Watch()
        let exchange = try BackfillExchange { watch.wakeCount.add(1, ordering: .acquiringAndReleasing) }
        exchange.send(Self.chunk(100))
        let old = try #require(Self.look(exchange))
        exchange.reset(.table(why: "x"))
        let count = watch.count
        Thread {
            let reset = exchange.takeReset()
            watch.taken.withLock { $0 = reset }
        }.start()
        // It asks the other to look, again and again.
        let deadline = ContinuousClock.now + .seconds(20)
        while watch.count < count + 3, ContinuousClock.now < deadline { exchange.wait(.milliseconds(10)) }
        exchange.done(old)
        #expect(watch.count >= count + 3 && watch.taken.withLock { $0 } == nil)
        #expect(Self.look(exchange) == nil)
        while watch.taken.withLock({ $0 }) == nil, ContinuousClock.now < deadline { exchange.wait(.milliseconds(10)) }
        #expect(watch.taken.withLock { $0 } == .table(why: "x"))
    }

    @Test func whatIsInterruptedIsGivenUpAndNothingIsLeftToTake() throws {
        let exchange = try Self.exchange()
        exchange.send(.pause)
        // The other thread looks whenever it is woken.
        let placer = Thread { while !exchange.isOver { _ = exchange.first() } }
        placer.start()
        defer { exchange.end() }
        exchange.reset(.table(why: "x"))
        #expect(exchange.interrupt() == .table(why: "x") && exchange.interrupt() == .pending)
        #expect(exchange.look.queue.isEmpty && exchange.look.reset == nil && exchange.takeReset() == nil)
        exchange.send(.pause)
        #expect(exchange.look.queue.count == 1)
    }

    @Test func nobodyWaitsForASessionThatIsOver() throws {
        let exchange = try Self.exchange()
        exchange.send(Self.chunk(2 * BackfillExchange.byteLimit))
        exchange.reset(.pending)
        exchange.end()
        #expect(exchange.isOver && !exchange.settle() && !exchange.makeRoom() && !exchange.perform(.pause))
        // The other thread will never look.
        #expect(exchange.takeReset() == nil)
    }

    private final class Seen: Sendable {
        let texts = Mutex<[String]>([])
    }

    /// Under load: each piece is done once and in order, or was given up by a reset that came behind it.
    @Test func nothingOvertakesAReset() throws {
        let exchange = try Self.exchange()
        let seen = Seen()
        let placer = Thread {
            var turn = 0
            while !exchange.isOver {
                guard let (number, work) = exchange.first() else { continue }
                turn += 1
                if turn % 97 == 0 {
                    exchange.reset(.pending)
                    continue
                }
                if case .note(let text?) = work { seen.texts.withLock { $0.append(text) } }
                exchange.done(number)
            }
        }
        placer.start()
        var generation = 0
        let deadline = ContinuousClock.now + .seconds(20)
        while generation < 40, ContinuousClock.now < deadline {
            generation += 1
            var isReset = false
            for number in 0..<50 where !isReset {
                exchange.send(.note("\(generation) \(number)"))
                if generation % 3 == 0, number == 20 { exchange.reset(.pending) }
                if number % 5 == 0 { isReset = !exchange.settle() }
            }
            if isReset { _ = exchange.takeReset() }
        }
        _ = exchange.settle()
        exchange.end()
        let pieces = seen.texts.withLock { $0 }.map { text in text.split(separator: " ").compactMap { Int($0) } }
        #expect(generation == 40 && pieces.count > 100)
        // A piece may be given again whose end came behind a reset; no later one is before an earlier one.
        for (first, second) in zip(pieces, pieces.dropFirst()) { #expect(first.lexicographicallyPrecedes(second), "\(first) \(second)") }
    }
}
