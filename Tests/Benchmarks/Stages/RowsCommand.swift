import ArgumentParser
import WireMessages

/// Decode, assemble and encode INSERTs of scalar columns: nanoseconds, bytes and allocations a row.
struct RowsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rows", abstract: "Nanoseconds and allocations a row of 5, 20 and 100 scalar columns.",
        discussion: "Example:\n  stage-benchmark rows --cells 20000000 --rounds 5")

    @Option(help: "Cells to encode in each round, whatever the number of columns.")
    var cells = 10_000_000

    @Option(help: "Rounds; the median is printed.")
    var rounds = 5

    /// The columns of an order, over and over.
    private static let kinds: [(typeOID: UInt32, text: String)] = [
        (20, "9223372036854775807"), (2950, "2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11"), (25, "1 Main Street"),
        (1700, "12.50"), (1184, "2026-11-23 07:09:12.123456+00"), (16, "t"), (23, "42"), (3802, #"{"a": [1, 2.50]}"#),
    ]

    func run() throws {
        for columnCount in [5, 20, 100] {
            var feed = try Feed()
            let kinds = (0..<columnCount).map { Self.kinds[$0 % Self.kinds.count] }
            try feed.receive(
                WireMessage.relation(
                    columns: kinds.enumerated().map { .init(name: "column_\($0)", typeOID: $1.typeOID, isKey: $0 == 0) }
                ))
            let row = WireMessage.insert(kinds.map { .text($0.text) })
            try feed.receive(WireMessage.begin(0x16B_3748))
            for _ in 0..<1000 { try feed.receive(row) }

            let rowCount = max(1, cells / columnCount)
            let byteCountBefore = feed.sink.byteCount
            let measured = try Measured(rounds: rounds, count: rowCount) {
                for _ in 0..<rowCount { try feed.receive(row) }
            }
            let byteCount = (feed.sink.byteCount - byteCountBefore) / (rowCount * rounds)
            print(
                "\(columnCount) columns: \(measured.text), \(byteCount) bytes an event, \(measured.allocationCount) allocations for \(measured.totalCount) rows"
            )
        }
    }
}
