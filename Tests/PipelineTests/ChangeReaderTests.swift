import Capture
import History
import Logging
import PostgresReplication
import PrivateServers
import Testing
import Threads
import WAL

@testable import Pipeline

/// A range of WAL, read as events from a copy of a slot, against a real PostgreSQL.
@Suite final class ChangeReaderTests {
    /// Keeps entity and ids of what it is given.
    private struct Kept: EventSink {
        var payloads: [String] = []
        var commits: [LSN] = []

        mutating func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) {
            payloads.append(payload.withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
            commits.append(header.position.commitLSN)
        }

        /// `"id":N` of each entity.
        var ids: [Int] {
            payloads.compactMap { payload in
                guard let found = payload.firstRange(of: #""entity":{"id":"#) else { return nil }
                return Int(payload[found.upperBound...].prefix { $0.isNumber })
            }
        }
    }

    private let server: PostgresServer
    private let sql: SQLConnection
    private let source: StreamerConfiguration.Source

    init() throws {
        server = try PostgresServer()
        sql = try server.sql()
        source = StreamerConfiguration.Source(
            connection: server.parameters, slot: "live", publication: "p", tables: [], failover: false,
            walSenderTimeoutMilliseconds: 3000)
        try sql.execute(
            """
            CREATE TYPE pair AS (a int, b text); CREATE TYPE shape AS ENUM ('round');
            CREATE FUNCTION shape_json(shape) RETURNS json IMMUTABLE LANGUAGE sql AS $$ SELECT '{"is":"round"}'::json $$;
            CREATE CAST (shape AS json) WITH FUNCTION shape_json(shape);
            CREATE TABLE tb_order (id int PRIMARY KEY, p pair, s shape);
            CREATE TABLE tb_hidden (id int PRIMARY KEY);
            CREATE PUBLICATION p FOR ALL TABLES;
            """)
        _ = try sql.query("SELECT pg_create_logical_replication_slot('live', 'pgoutput')")
    }

    private func writtenLSN() throws -> LSN {
        let text = try sql.query("SELECT pg_current_wal_insert_lsn()").first?.first ?? nil
        return try #require(text.flatMap { LSN($0) })
    }

    private func confirmed() throws -> LSN? { try sql.slot(named: "live")?.confirmedFlushLSN }

    private func insert(_ ids: ClosedRange<Int>) throws {
        try sql.execute(
            """
            BEGIN; INSERT INTO tb_hidden SELECT -i FROM generate_series(\(ids.lowerBound), \(ids.upperBound)) AS i;
            INSERT INTO tb_order SELECT i, (i, 'b')::pair, 'round' FROM generate_series(\(ids.lowerBound), \(ids.upperBound)) AS i; COMMIT
            """)
    }

    /// A reader of a temporary copy of the slot, from `start` on.
    private func reader(
        from start: LSN, over connection: OrdinaryConnection, wake: WakeSignal
    ) throws -> ChangeReader<WalsenderPort, TableDescriber> {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        var replication = try ReplicationConnection(server.parameters, timeout: .seconds(20))
        let system = try replication.identifySystem()
        let identity = SourceIdentity(systemID: system.systemID, databaseOID: try sql.databaseOID(), databaseName: "postgres")
        _ = try replication.copyLogicalSlot(from: "live", to: "copy", temporary: true)
        try replication.startReplication(
            slot: "copy", at: start, options: source.options(quotedPublication: quoteIdentifier("p")))
        let tables = TableDescriber(StreamerConfiguration.Casts(), wake: wake, logger: logger)
        try tables.begin(
            over: connection, columnRules: try ColumnRules([], publication: "p", sql: sql), of: identity, timeline: system.timeline)
        let assembler = try TransactionAssembler(
            configuration: CaptureConfiguration(exclusions: ["public.tb_hidden"]),
            functions: CaptureFunctions(hmacSHA256: nil) { _, _ in true }, identity: identity,
            timelines: TimelineHistory(currentTimeline: system.timeline), payloadLimit: 1_048_576, watermark: nil, proof: nil)
        return ChangeReader(
            WalsenderPort(replication, wake: wake), catalogue: tables, assembler: assembler, startLSN: start)
    }

    private func connection() throws -> OrdinaryConnection {
        OrdinaryConnection(try server.sql(), source, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    @Test func readsWhatWasCommittedInARangeAndMovesNothing() throws {
        try insert(1...3)
        let start = try writtenLSN()
        try insert(4...6)
        // Rolled back: nothing of it is sent.
        try sql.execute("BEGIN; INSERT INTO tb_order (id) VALUES (99); ROLLBACK")
        try insert(7...400)
        let end = try writtenLSN()
        try insert(401...403)
        let before = try confirmed()

        let wake = try WakeSignal()
        let connection = try connection()
        let reader = try reader(from: start, over: connection, wake: wake)
        var kept = Kept()
        #expect(try reader.read(before: end, over: connection, into: &kept))

        #expect(kept.ids == Array(4...400))
        #expect(kept.commits.allSatisfy { $0 >= start && $0 < end })
        #expect(kept.payloads.first?.contains(#""p":{"a":4,"b":"b"},"s":{"is":"round"}"#) ?? false)
        #expect(kept.payloads.allSatisfy { !$0.contains("tb_hidden") })
        #expect(reader.progress.transactionCount == 2 && reader.progress.endLSN >= end)
        #expect(reader.assembler.unknownTypeValueCount == 0 && reader.assembler.uncastValueCount == 0)
        // What lies behind the end is left where it is, and comes next.
        #expect(try reader.read(before: try writtenLSN(), over: connection, into: &kept))
        #expect(kept.ids == Array(4...403))
        #expect(try confirmed() == before)
    }

    @Test func readsToAnEndBehindWhichNothingIsWritten() throws {
        try insert(1...2)
        let wake = try WakeSignal()
        let connection = try connection()
        let reader = try reader(from: LSN(1), over: connection, wake: wake)
        var kept = Kept()
        #expect(try reader.read(before: try writtenLSN(), over: connection, into: &kept))
        #expect(kept.ids == [1, 2])
        #expect(try !reader.read(before: LSN(.max), over: connection, into: &kept, turn: { () throws(StreamerError) in false }))
    }

    @Test func aSessionsEndDoesNotBeginADescriptionAnew() throws {
        let wake = try WakeSignal()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let identity = SourceIdentity(systemID: 1, databaseOID: 1, databaseName: "postgres")
        let tables = TableDescriber(StreamerConfiguration.Casts(), wake: wake, logger: logger)
        let oid = try sql.query("SELECT 'pair'::regtype::oid").first?.first ?? nil
        let typeOID = try #require(oid.flatMap { UInt32($0) })
        let question = TableQuestion.capture(.types(of: RelationID(1), [typeOID]), of: .none)
        let rules = try ColumnRules([], publication: "p", sql: sql)

        let holding = try server.sql()
        try holding.execute("BEGIN; LOCK TABLE pg_catalog.pg_language IN ACCESS EXCLUSIVE MODE")
        do {
            let first = try connection()
            try tables.begin(over: first, columnRules: rules, of: identity, timeline: 1)
            let early = try tables.answer(to: question)
            #expect(early.isNone)
            #expect(!first.isAskable && !first.isLost)
        }
        // The next session asks the same, and is answered what the first has asked.
        let second = try connection()
        try tables.begin(over: second, columnRules: rules, of: identity, timeline: 1)
        let early = try tables.answer(to: question)
        #expect(early.isNone && second.isAskable)
        try holding.execute("COMMIT")
        var answer: TableAnswer?
        try eventually("the answer comes") {
            answer = try tables.answer(to: question)
            return answer != nil
        }
        #expect(second.isAskable)
        guard case .capture(.types(let types), isCertain: true, refusal: .none) = answer else {
            Issue.record("\(String(describing: answer))")
            return
        }
        #expect(types.missing([typeOID]).isEmpty)
    }
}

extension TableAnswer? {
    /// It has no equality.
    fileprivate var isNone: Bool {
        if case .none = self { true } else { false }
    }
}
