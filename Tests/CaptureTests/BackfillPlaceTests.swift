import Foundation
import SeededRandom
import Testing
import WAL

@testable import Capture

/// Where a message of a backfill stands among all others; ``MessageIDTests`` has how it is read and written in an id.
@Suite struct BackfillPlaceTests {
    private static let place = BackfillPlace(run: 3, count: 17, tableOID: 16_384, filenode: 16_390, block: 4, offset: 9)

    @Test func isWrittenAsSixNumbers() throws {
        #expect(Self.place.description == "3.17.16384.16390.4.9" && BackfillPlace("3.17.16384.16390.4.9") == Self.place)
        #expect(BackfillPlace(run: 1, count: 1).description == "1.1.0.0.0.0")
        let json = try JSONEncoder().encode([Self.place])
        #expect(String(decoding: json, as: UTF8.self) == #"["3.17.16384.16390.4.9"]"#)
        #expect(try JSONDecoder().decode([BackfillPlace].self, from: json) == [Self.place])
    }

    @Test(arguments: [
        "", "3.17.16384.16390.4", "3.17.16384.16390.4.9.1", "03.17.16384.16390.4.9", "3.17.16384.16390.4.65536", "3.17.4294967296.16390.4.9", "3.17.16384.16390.-4.9",
        "3.17.16384.16390.4.9\n", "x",
    ])
    func whatIsNoneIsRefused(_ text: String) throws {
        #expect(BackfillPlace(text) == nil)
        let json = try JSONEncoder().encode([text])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([BackfillPlace].self, from: json) }
    }

    /// An event stands before all that a backfill puts behind it, and that before the next event.
    @Test func allThatIsStoredHasOneOrder() {
        var random = SplitMix64(seed: 3)
        let orders = (0..<300).map { _ in
            func small() -> UInt64 { UInt64.random(in: 0...2, using: &random) }
            let run = small()
            return StreamOrder(Position(commitLSN: LSN(small()), ordinal: small()), run: run, count: run == 0 ? 0 : small())
        }
        func numbers(_ order: StreamOrder) -> [UInt64] { [order.position.commitLSN.rawValue, order.position.ordinal, order.run, order.count] }
        for (first, second) in zip(orders, orders.dropFirst()) {
            #expect((first < second) == numbers(first).lexicographicallyPrecedes(numbers(second)), "\(first) \(second)")
            #expect(first.isOfBackfill == (first.run > 0))
        }
    }

    @Test func anIDTellsWhereItsMessageStands() throws {
        let event = try #require(MessageID("7.5.1.735.00000000016B3748.2"))
        #expect(event.order == StreamOrder(event.position) && !event.order.isOfBackfill)
        let row = try #require(MessageID(event.backfilled(Self.place)))
        #expect(row.order == StreamOrder(event.position, run: 3, count: 17) && event.order < row.order)
        #expect(row.order < StreamOrder(Position(commitLSN: event.position.commitLSN, ordinal: 3)))
    }
}
