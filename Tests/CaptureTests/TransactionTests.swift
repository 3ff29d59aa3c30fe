import Foundation
import Testing
import WAL
import WireMessages

@testable import Capture

/// Positions, ids, `last` and the watermark, on what PostgreSQL sends.
@Suite struct TransactionTests {
    private static let setup = """
        CREATE TABLE tb_a (id int PRIMARY KEY, v text); CREATE TABLE tb_b (id int PRIMARY KEY, v text);
        CREATE TABLE tb_c (id int PRIMARY KEY);
        """

    /// Several transactions: savepoints rolled back, a COPY, changes of tables that may be left out at every place, messages.
    private static let changes = """
        INSERT INTO tb_a VALUES (1, 'x');
        BEGIN; INSERT INTO tb_b VALUES (1, 'x'); INSERT INTO tb_a VALUES (2, 'x'); SAVEPOINT s; INSERT INTO tb_a VALUES (99, 'gone');
        ROLLBACK TO s; UPDATE tb_a SET v = 'y'; INSERT INTO tb_b VALUES (2, 'x'); COMMIT;
        BEGIN; INSERT INTO tb_a VALUES (98, 'gone'); ROLLBACK;
        BEGIN; INSERT INTO tb_b VALUES (3, 'x'); INSERT INTO tb_b VALUES (4, 'x'); COMMIT;
        COPY tb_a FROM stdin;
        10\tcopied
        11\tcopied
        12\tcopied
        \\.
        \\o /dev/null
        BEGIN; SELECT pg_logical_emit_message(true, 'other', 'not ours'); INSERT INTO tb_a VALUES (13, 'x');
        SELECT pg_logical_emit_message(true, 'fraiseql_events', '{"entity_type":"Order","operation":"PAID","entity_id":"7"}');
        TRUNCATE tb_a, tb_b, tb_c; DELETE FROM tb_a; INSERT INTO tb_c VALUES (1); COMMIT;
        SELECT pg_logical_emit_message(false, 'fraiseql_events', '{"entity_type":"Order","operation":"SEEN","entity_id":null}');
        INSERT INTO tb_c VALUES (2);
        \\o
        """

    private static let captured = Result { try CapturedChanges(setup: setup, changes: changes) }

    private static func configuration(_ exclusions: String...) -> CaptureConfiguration {
        CaptureConfiguration(exclusions: exclusions)
    }

    private static let configurations = [
        configuration(), configuration("public.tb_a"), configuration("public.tb_b"), configuration("*:INSERT"),
        configuration("public.tb_?:TRUNCATE"), configuration("*"),
    ]

    @Test func countsEveryChangeFromOneAndNamesItsPosition() throws {
        let events = try Self.captured.get().events()
        #expect(
            events.map(\.header.position.ordinal) == [1, 1, 2, 3, 4, 5, 1, 2, 1, 2, 3, 2, 3, 4, 5, 6, 7, 0, 1])
        for event in events {
            let id = try #require(MessageID(event.messageID))
            #expect(id.position == event.header.position && id.transactionID == event.header.transactionID)
            #expect(id.isOf(Rig.identity) && id.timeline == 1)
            #expect(try event.value("id") == "\"\(event.messageID)\"")
            #expect(try event.value("transaction", "ordinal") == "\(id.position.ordinal)")
            #expect(try event.value("transaction", "lsn") == "\"\(id.position.commitLSN)\"")
            #expect(try event.value("timestamp") == "\"\(event.header.commitTimestamp)\"")
        }
        #expect(zip(events, events.dropFirst()).allSatisfy { $0.header.position < $1.header.position })
    }

    @Test func endsEachTransactionWithWhatConfirmsIt() throws {
        let outcome = try Self.captured.get().outcome()
        let ends = outcome.actions.compactMap { action in
            if case .transactionEnded(let endLSN) = action { endLSN } else { nil }
        }
        #expect(ends.count == outcome.actions.count { $0 == .transactionBegan })
        #expect(ends.count == 6)
        #expect(ends == ends.sorted())
    }

    @Test(arguments: 0..<6)
    func marksTheLastPublishedEventOfEachTransactionAndNoOther(index: Int) throws {
        let events = try Self.captured.get().events(Self.configurations[index])
        for (event, next) in zip(events, events.dropFirst().map(Optional.some) + [nil]) {
            let isLast =
                next?.header.position.commitLSN != event.header.position.commitLSN
                || next?.header.transactionID != event.header.transactionID
            #expect(try event.value("transaction", "last") == "\(isLast)", "\(event.text)")
        }
    }

    @Test(arguments: 1..<6)
    func exclusionsShiftNoOrdinal(index: Int) throws {
        let all = try Self.captured.get().events()
        let some = try Self.captured.get().events(Self.configurations[index])
        #expect(some.count < all.count)
        var rest = all[...]
        for event in some {
            rest = rest.drop { $0.messageID != event.messageID }
            let same = try #require(rest.first)
            rest = rest.dropFirst()
            #expect(try same.value("entity") == event.value("entity") && same.subject == event.subject)
        }
    }

    @Test(arguments: 0..<6)
    func goesOnExactlyBehindTheWatermark(index: Int) throws {
        let captured = try Self.captured.get()
        let configuration = Self.configurations[index]
        // Whatever was published before, under whatever exclusions, is a watermark: also a change that is left out now.
        for stored in try captured.events() {
            let watermark = stored.header.position
            let all = try captured.events(configuration)
            let rest = try captured.outcome(configuration, watermark: watermark)
            #expect(rest.error == nil)
            #expect(rest.events == all.filter { $0.header.position > watermark })
            #expect(rest.actions == (try captured.outcome(configuration)).actions)
        }
    }

    @Test func putsTheTimelineOfTheCommitIntoTheID() throws {
        let lsn = try #require(try Self.captured.get().events().last).header.position.commitLSN
        let history = try #require(
            TimelineHistory(currentTimeline: 3, text: "1\t\(lsn)\tpromoted\n2\tFFFFFFFF/0\tpromoted\n"))
        var rig = try Rig(catalogue: Self.captured.get().catalogue, timelines: history)
        try rig.receive(Self.captured.get().messages)
        #expect(
            rig.events.map { MessageID($0.messageID)?.timeline } == Array(repeating: 1, count: rig.events.count - 1) + [
                2
            ])
    }

    @Test func countsKindsOfEvents() throws {
        var rig = try Rig(catalogue: Self.captured.get().catalogue)
        try rig.receive(Self.captured.get().messages)
        for event in rig.events {
            let kind = rig.assembler.eventKinds[Int(event.header.kindIndex)]
            #expect(event.subject == "fraiseql.mutation.\(kind.entity).\(kind.operation)")
        }
        #expect(Set(rig.assembler.eventKinds).count == rig.assembler.eventKinds.count)
    }

    @Test func countsOnlyKindsOfWhichThereWereEvents() throws {
        var rig = try Rig()
        try rig.receive(WireMessage.begin(100))
        try rig.receive(WireMessage.relation(1, name: "tb_order", columns: [.init(name: "id")]))
        #expect(rig.assembler.eventKinds.isEmpty)
        for _ in 0..<2 { try rig.receive(WireMessage.insert(into: 1, [.text("1")])) }
        #expect(rig.assembler.eventKinds == [EventKind(entity: "Order", operation: "INSERT")])
        try rig.receive(WireMessage.delete(from: 1, key: [.text("1")]))
        #expect(rig.assembler.eventKinds.map(\.operation) == ["INSERT", "DELETE"])
    }

    @Test func anExcludedOperationIsNoKindOfEvent() throws {
        var rig = try Rig(Self.configuration("public.tb_order:UPDATE", "public.tb_noise"))
        try rig.receive(WireMessage.begin(100))
        for (id, name) in [(1, "tb_order"), (2, "tb_noise")] as [(UInt32, String)] {
            try rig.receive(WireMessage.relation(id, name: name, columns: [.init(name: "id")]))
            try rig.receive(WireMessage.update(in: id, new: [.text("1")]))
            try rig.receive(WireMessage.insert(into: id, [.text("1")]))
        }
        #expect(rig.assembler.eventKinds == [EventKind(entity: "Order", operation: "INSERT")])
    }

    /// Whoever may emit a message names entity and operation as he likes: metrics carry no name that is longer than a table's.
    @Test func countsWhatHasALongNameAsOther() throws {
        var rig = try Rig()
        try rig.receive(WireMessage.begin(100))
        for length in [64, 65, 900] {
            let name = String(repeating: "x", count: length)
            try rig.receive(
                WireMessage.message(Array(#"{"entity_type":"\#(name)","operation":"\#(name)","entity_id":1}"#.utf8)))
        }
        let longest = String(repeating: "x", count: 64)
        #expect(
            rig.assembler.eventKinds == [
                EventKind(entity: longest, operation: longest), EventKind(entity: "other", operation: "other"),
            ])
    }

    @Test func boundsKindsOfEvents() throws {
        var rig = try Rig()
        try rig.receive(WireMessage.begin(100))
        for index in 0..<UInt32(TransactionAssembler.entityLimit + 50) {
            try rig.receive(WireMessage.relation(index, name: "t\(index)", columns: [.init(name: "id")]))
            try rig.receive(WireMessage.insert(into: index, [.text("1")]))
            try rig.receive(WireMessage.update(in: index, new: [.text("1")]))
            try rig.receive(WireMessage.delete(from: index, key: [.text("1")]))
            try rig.receive(WireMessage.truncate([index]))
        }
        #expect(rig.assembler.eventKinds.count == 4 * (TransactionAssembler.entityLimit + 1))
        for index in 0..<(TransactionAssembler.eventKindLimit + 50) {
            try rig.receive(
                WireMessage.message(Array(#"{"entity_type":"T1","operation":"O\#(index)","entity_id":1}"#.utf8)))
        }
        #expect(rig.assembler.eventKinds.count == TransactionAssembler.eventKindLimit + 1)
        #expect(rig.assembler.eventKinds.last == EventKind(entity: "other", operation: "other"))
        // The next connection's assembler goes on with them: the bound is the process's.
        var next = try TransactionAssembler(
            configuration: CaptureConfiguration(), functions: .cryptographic, identity: Rig.identity,
            timelines: TimelineHistory(currentTimeline: 1), payloadLimit: 1 << 20, watermark: nil, proof: nil,
            eventKinds: rig.assembler.eventKinds)
        let new = Int(next.kindIndex(entity: "New", operation: "INSERT"))
        let known = Int(next.kindIndex(entity: "T1", operation: "INSERT"))
        #expect(next.eventKinds[new] == EventKind(entity: "other", operation: "INSERT"))
        #expect(next.eventKinds[known] == EventKind(entity: "T1", operation: "INSERT"))
        #expect(next.eventKinds == rig.assembler.eventKinds)
    }

    @Test func aTransactionOfAnySizePassesThroughInConstantMemory() throws {
        let captured = try CapturedChanges(
            setup: Self.setup, changes: "INSERT INTO tb_a SELECT i, 'v' || i FROM generate_series(1, 20000) i;")
        var rig = try Rig(catalogue: captured.catalogue)
        for message in captured.messages {
            try rig.receive(message)
            #expect(rig.assembler.openByteCount < 1000)
        }
        #expect(rig.events.count == 20_000 && !rig.assembler.isInTransaction && rig.assembler.openByteCount == 0)
    }
}
