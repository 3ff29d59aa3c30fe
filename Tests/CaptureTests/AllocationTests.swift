import CMallocCounter
import Foundation
import PGOutput
import Testing
import WAL
import WireMessages

@testable import Capture

/// Steady state costs no allocation per row, in decoding, assembling and encoding, counted on all threads.
///
/// Each count is taken in a process of its own: there nothing else runs, so that every call of the allocator is ours.
@Suite struct AllocationTests {
    @Test func allocatesNothingPerRowOfOneBigTransaction() async {
        await #expect(processExitsWith: .success) { Self.exit(by: try Self.allocationCount(rowsPerTransaction: .max)) }
    }

    @Test func allocatesNothingPerTransactionOfOneRow() async {
        await #expect(processExitsWith: .success) { Self.exit(by: try Self.allocationCount(rowsPerTransaction: 1)) }
    }

    /// Identities have characters in them that a CloudEvent's subject must not have.
    @Test func allocatesNothingPerRowOfACloudEvent() async {
        await #expect(processExitsWith: .success) {
            Self.exit(by: try Self.allocationCount(rowsPerTransaction: .max, format: .cloudevents))
        }
    }

    @Test func seesAnAllocationThatIsPlantedInEveryRow() async {
        await #expect(processExitsWith: .exitCode(Self.foundExitCode)) {
            Self.exit(by: try Self.allocationCount(rowsPerTransaction: .max, plant: malloc_counter_allocate_once))
        }
        await #expect(processExitsWith: .exitCode(Self.foundExitCode)) {
            Self.exit(by: try Self.allocationCount(rowsPerTransaction: .max, plant: Self.allocateArray))
        }
    }

    private static let warmUpRowCount = 1000
    private static let rowCount = 100_000
    private static let foundExitCode: Int32 = 3

    private static func allocateArray() { kept = [UInt8](repeating: 1, count: 100) }

    // Sendable because only the one thread of the exit test's process touches it; a global, so that no compiler drops it.
    private nonisolated(unsafe) static var kept: [UInt8] = []

    private static func exit(by allocationCount: UInt64) -> Never {
        guard allocationCount > 0 else { Foundation.exit(EXIT_SUCCESS) }
        FileHandle.standardError.write(Data("\(allocationCount) allocations for \(rowCount) rows\n".utf8))
        Foundation.exit(foundExitCode)
    }

    /// Only counts, so that what is measured is what stands before it.
    private struct CountingSink: EventSink {
        var eventCount = 0
        var byteCount = 0

        mutating func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) {
            eventCount += 1
            byteCount += subject.byteCount + messageID.byteCount + payload.byteCount
        }
    }

    private static func allocationCount(
        rowsPerTransaction: Int, format: CaptureConfiguration.Format = .slotstream, plant: () -> Void = {}
    ) throws -> UInt64 {
        var configuration = CaptureConfiguration(format: format)
        configuration.subjectTemplate = "{prefix}.{entity}.{column:status}.{operation}"
        configuration.exclusions = ["public.tb_hidden"]
        configuration.identities = ["public.tb_order": ["id", "status"]]
        var assembler = try TransactionAssembler(
            configuration: configuration, functions: .cryptographic, identity: Rig.identity,
            timelines: TimelineHistory(currentTimeline: 1),
            payloadLimit: 1_048_576, watermark: nil, proof: nil)
        var decoder = PGOutputDecoder()
        var sink = CountingSink()

        func feed(_ message: [UInt8]) throws {
            let bytes = message.span.bytes
            let decoded = try decoder.decode(bytes)
            let action = try assembler.receive(decoded, of: decoder, bytes: bytes, sendTime: PostgresTimestamp(0), into: &sink)
            guard action == .asks else { return }
            assembler.answer(.description(TableDescription()))
            _ = try assembler.receive(decoded, of: decoder, bytes: bytes, sendTime: PostgresTimestamp(0), into: &sink)
        }
        for relation in SampleRows.relations { try feed(relation) }

        var begin = WireMessage.begin(0x16B_3748)
        var commit = WireMessage.commit(0x16B_3748)
        var commitLSN: UInt64 = 0x16B_3748
        let rows = SampleRows.rows
        var rowInTransaction = 0
        /// In place: each transaction commits behind the one before it.
        func moveOn() {
            commitLSN += 0x100
            WireMessage.move(&begin, to: commitLSN)
            WireMessage.move(&commit, to: commitLSN)
        }
        func feedRows(_ count: Int) throws {
            for index in 0..<count {
                if rowInTransaction == 0 { try feed(begin) }
                try feed(rows[index % rows.count])
                plant()
                rowInTransaction += 1
                if rowInTransaction == rowsPerTransaction {
                    try feed(commit)
                    moveOn()
                    rowInTransaction = 0
                }
            }
        }
        try feedRows(warmUpRowCount)
        let eventCountBefore = sink.eventCount
        malloc_counter_start()
        try feedRows(rowCount)
        let count = malloc_counter_stop()
        // A count of nothing is no proof: a row in nine is of the table that is left out.
        precondition(sink.eventCount - eventCountBefore >= rowCount / 9 * 8 - 1 && sink.byteCount > rowCount * 100)
        return count
    }
}

/// Rows of every kind and shape, as a table of orders would send them.
enum SampleRows {
    private static let hiddenID: UInt32 = 16_401

    static let relations = [
        WireMessage.relation(
            identity: "f",
            columns: [
                .init(name: "pk_order", typeOID: 20, isKey: true), .init(name: "id", typeOID: 2950, isKey: true),
                .init(name: "status", isKey: true), .init(name: "total \"amount\"", typeOID: 1700, isKey: true),
                .init(name: "paid", typeOID: 16, isKey: true), .init(name: "items", typeOID: 1009, isKey: true),
                .init(name: "counts", typeOID: 1007, isKey: true), .init(name: "data", typeOID: 3802, isKey: true),
                .init(name: "created_at", typeOID: 1184, isKey: true),
                .init(name: "local_at", typeOID: 1114, isKey: true),
                .init(name: "raw", typeOID: 17, isKey: true), .init(name: "document", isKey: true),
            ]),
        WireMessage.relation(
            16_402, name: "tb_note",
            columns: [.init(name: "id", typeOID: 23, isKey: true), .init(name: "text"), .init(name: "rest")]),
        WireMessage.relation(hiddenID, name: "tb_hidden", columns: [.init(name: "id", typeOID: 23, isKey: true)]),
    ]

    static let rows = [
        WireMessage.insert(order(status: "pending")),
        WireMessage.insert(order(status: "with \"quotes\", \\ and \n new lines")),
        WireMessage.update(old: order(status: "pending"), new: order(status: "paid, 100%", document: .unchanged)),
        WireMessage.insert(into: hiddenID, [.text("1")]),
        WireMessage.update(in: 16_402, new: [.text("1"), .text("changed"), .unchanged]),
        WireMessage.update(in: 16_402, key: [.text("1"), .null, .null], new: [.text("2"), .null, .unchanged]),
        WireMessage.delete(from: 16_402, key: [.text("2"), .null, .null]),
        WireMessage.truncate([16_400, 16_402], flags: 3),
        WireMessage.insert(into: 16_402, [.text("3"), .text(String(repeating: "é漢😀", count: 100)), .text("")]),
    ]

    private static func order(status: String, document: WireMessage.Cell = .text("long")) -> [WireMessage.Cell] {
        [
            .text("9223372036854775807"), .text("2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11"), .text(status), .text("12.50"),
            .text("t"), .text(#"{sku-1,"a \"b\" \\ c",NULL,""}"#), .text("{1,2,NULL}"), .text(#"{"a": [1, 2.50]}"#),
            .text("2026-11-23 07:09:12.123456+00"), .text("2026-11-23 07:09:12"), .text("\\x6869"), document,
        ]
    }
}
