import Glibc
import History
import JetStreamPublishing
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What the threads of a check read, each from its server.
extension Check {
    // MARK: - PostgreSQL

    static func readSource(_ reading: Reading) {
        do throws(StreamerError) {
            try readCatalogue(reading)
            reading.add { $0.source = .success(()) }
        } catch {
            reading.add { $0.source = .failure(error) }
        }
    }

    private static func readCatalogue(_ reading: Reading) throws(StreamerError) {
        let configuration = reading.configuration
        let source = configuration.source
        let sql = try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(source.connection, timeout: answerTime, isReadOnly: true)
        }
        let endpoint = sql.endpoint
        reading.add { $0.endpoint = endpoint }
        let began = Instant.now
        var server: CheckedServer
        let role: CheckedRole
        let start: LSN
        do throws(PostgresError) {
            start = try sql.currentWALLSN()
            server = try CheckedServer.read(slotName: source.slot, over: sql)
            server.isWindowWanted = configuration.window.age > .zero
            let told = server
            reading.add { $0.server = told }
            role = try CheckedRole.read(publication: source.publication, over: sql)
            reading.add { $0.role = role }
            let clock = try sql.query("SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())")
            let now = PostgresTimestamp.now.unixMicroseconds
            let seconds = clock.first?.first.flatMap { $0 }.flatMap { Double($0) }
            reading.add { $0.clocks.postgres = seconds.map { $0 - Double(now) / 1e6 } }
            let tables = try CheckedTables.read(configuration, over: sql)
            reading.add { $0.tables = tables }
        } catch {
            throw .postgres(error)
        }
        try readPublication(reading, hasSlot: server.slots.contains { $0.name == source.slot }, over: sql)
        try readReplication(reading, server, role)
        // The rate of a moment would be that of nothing.
        let rest = rateTime - Instant.now.duration(since: began)
        if rest > .zero { usleep(UInt32(rest / .microseconds(1))) }
        let end = try StreamerError.ofPostgres { () throws(PostgresError) in try sql.currentWALLSN() }
        server.walBytesPerSecond = Double(end.byteCount(since: min(start, end))) / Instant.now.duration(since: began).seconds
        reading.add { $0.server = server }
    }

    /// What `setup` and `run` find of the publication and of rules that name tables.
    private static func readPublication(
        _ reading: Reading, hasSlot: Bool, over sql: borrowing SQLConnection
    ) throws(StreamerError) {
        let configuration = reading.configuration
        let source = configuration.source
        let isBeforeStart = reading.options.isBeforeStart
        var found: [Finding] = []
        let contents: PublicationContents?
        let plan: PublicationPlan
        do throws(PostgresError) {
            contents = try PublicationContents.read(source.publication, over: sql)
            plan = try PublicationPlan.read(source, over: sql)
        } catch {
            throw .postgres(error)
        }
        found += plan.refusals
        for case .finding(let finding) in plan.notes { found.append(finding) }
        found += plan.published.compactMap(\.unidentified).flatMap { Finding.unidentified([$0], arePublished: true) }
        if isBeforeStart {
            found += plan.unidentified.compactMap(\.unidentified).flatMap { Finding.unidentified([$0], arePublished: false) }
        } else if let contents {
            if contents.isEmptyByMistake(source) { found.append(.publicationEmpty(source.publication)) }
            found += Finding.tablesNotPublished(plan.missing, publication: source.publication, statement: plan.statements.first)
        } else if hasSlot {
            found.append(
                .publicationMissing(
                    source.publication, state: "but slot \(source.slot) does", paste: plan.statements.first.map { .sql($0) }))
        }
        if !hasSlot, case .finding(let rows) = try estimate(source, over: sql) { found.append(rows) }
        reading.add { $0.found += found }
        try readRules(reading, over: sql)
    }

    /// Rows that a first start would leave out; a note of another kind: none.
    private static func estimate(
        _ source: StreamerConfiguration.Source, over sql: borrowing SQLConnection
    ) throws(StreamerError) -> Note {
        let rows = try StreamerError.ofPostgres { () throws(PostgresError) in
            try sql.query(
                """
                WITH RECURSIVE \(PublishedTables.parts(candidates: PublishedTables.everyTable, publication: "$1"))
                SELECT pg_catalog.sum(c.reltuples)::pg_catalog.int8, pg_catalog.count(*)
                FROM published t JOIN pg_catalog.pg_class c ON c.oid = t.oid WHERE c.reltuples > 0
                """, [source.publication])
        }
        guard let row = rows.first, row.count == 2, let count = row[0], let tables = row[1] else { return "no rows are known" }
        return .finding(.rowsBeforeSlot(source.slot, "rows from before the slot are not published: about \(count) in \(tables) tables"))
    }

    private static func readRules(_ reading: Reading, over sql: borrowing SQLConnection) throws(StreamerError) {
        let configuration = reading.configuration
        do throws(StreamerError) {
            let rules = try ColumnRules(configuration.ruledTables, publication: configuration.source.publication, sql: sql)
            reading.add { $0.found += rules.findings }
            try Setup.requireColumns(configuration, sql: sql)
        } catch {
            guard case .found(_, let findings) = error else { throw error }
            reading.add { $0.found += findings }
        }
    }

    /// Connects as the streamer does; not where that is known to be refused, or would take the last walsender.
    private static func readReplication(
        _ reading: Reading, _ server: CheckedServer, _ role: CheckedRole
    ) throws(StreamerError) {
        let known = Set((server.findings + role.findings).map(\.id))
        guard known.isDisjoint(with: [.noReplicationRight, .noFreeSender]) else {
            return reading.add { $0.isUnjoinable = true }
        }
        let exposure = try StreamerError.ofPostgres { () throws(PostgresError) in
            let replication = try ReplicationConnection(reading.configuration.source.connection, timeout: answerTime)
            // A pooler answers as if there were no walsender.
            _ = try replication.identifySystem()
            return replication.exposure
        }
        var role = role
        role.exposure = exposure
        let told = role
        reading.add { $0.role = told }
    }

    // MARK: - NATS

    static func readNATS(_ reading: Reading) {
        do throws(StreamerError) {
            try readJetStream(reading)
            reading.add { $0.nats = .success(()) }
        } catch {
            reading.add { $0.nats = .failure(error) }
        }
    }

    private static func readJetStream(_ reading: Reading) throws(StreamerError) {
        let configuration = reading.configuration
        let link = try NATSLink.connected(
            configuration.nats, stream: configuration.stream.name, isWanted: { Instant.now < reading.deadline })
        let nats = link.connection
        defer { nats.close() }
        reading.add { $0.payloadLimit = nats.maxPayload }
        let info: StreamInfo?
        do throws(JetStreamError) {
            info = try nats.streamInfo(configuration.stream.name)
        } catch {
            // The whole block to paste instead of one subject.
            guard error.isPermission else { throw .jetStream(error) }
            throw .found(
                .permissionNATS,
                [.permissionsMissing(["$JS.API.STREAM.INFO.\(configuration.stream.name)"], configuration.natsRights)])
        }
        let now = PostgresTimestamp.now
        reading.add { $0.clocks.nats = info?.time.flatMap { PostgresTimestamp(rfc3339: $0) }.map { Double($0.rawValue - now.rawValue) / 1e6 } }
        let account = try CheckedAccount.read(configuration, info, over: nats)
        reading.add { $0.account = account }
        if let info {
            let stream = try CheckedStream.read(configuration, info, over: nats)
            reading.add { $0.stream = stream }
        } else if reading.options.isBeforeStart, account.findings.allSatisfy({ $0.severity != .error }) {
            _ = try SetupQuestions.tryStream(configuration, nats)
        }
    }

    // MARK: - Both

    /// Looks at slot, record and stream as a streamer does at its start.
    static func join(_ reading: Reading) {
        let configuration = reading.configuration
        let source = configuration.source
        let (server, role) = reading.answers.withLock { ($0.server, $0.role) }
        guard let server, let role else { return }
        var checked = CheckedSlot(
            name: source.slot, serverVersion: server.version, database: role.database, isFailoverWanted: source.failover,
            windowByteCount: configuration.window.byteCount, isBeforeStart: reading.options.isBeforeStart)
        checked.slot = server.slots.first { $0.name == source.slot }
        checked.anchor = server.slots.first { $0.name == ReplayWindow.anchor(of: source.slot) }
        do throws(StreamerError) {
            let servers = try ServerConnections(configuration)
            let (facts, _) = try ServerFacts.gather(
                configuration, replication: servers.replication, sql: servers.sql, nats: servers.nats)
            checked.facts = facts
            checked.slot = facts.slot
            checked.obstacle = try obstacle(configuration, facts, over: servers.sql)
        } catch {
            reading.add { $0.errors.append(error) }
        }
        let told = checked
        reading.add { $0.slot = told }
    }

    /// What the slot holds and PostgreSQL cannot send, where the publication was made after the slot's position.
    private static func obstacle(
        _ configuration: StreamerConfiguration, _ facts: Recovery.Facts, over sql: borrowing SQLConnection
    ) throws(StreamerError) -> StreamerError? {
        guard let slot = facts.slot, !slot.isActive, case .proceed(let plan) = Recovery.assess(facts) else { return nil }
        do throws(StreamerError) {
            try Setup.requireSendable(configuration, plan, facts, sql: sql)
            return nil
        } catch {
            switch error {
            // Somebody has begun to stream meanwhile.
            case .slotActive: return nil
            case .stop: return error
            default: throw error
            }
        }
    }
}
