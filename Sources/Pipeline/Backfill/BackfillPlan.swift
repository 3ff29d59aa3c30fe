import Capture
package import History
import JetStreamPublishing
import PostgresReplication
import Threads
import WAL

/// What a run would read, how long that takes, and whether the stream has room for it: found out before anything is asked for.
package struct BackfillPlan: Sendable, Equatable {
    /// What somebody asks for.
    package struct Wanted: Sendable {
        package var tables: [String]
        package var condition: String?
        package var operation = "READ"
        /// Rows a second; 0: no limit; nil: as configured.
        package var rate: Int?
        /// 0: no limit; nil: as configured.
        package var maxLagBytes: UInt64?
        package var intoStream: String?
        package var intoPrefix: String?
        /// Begin though the stream has no room.
        package var isForced = false

        package init(tables: [String]) { self.tables = tables }

        /// nil: no limit.
        fileprivate func rate(_ configuration: StreamerConfiguration) -> Int? {
            (rate ?? configuration.backfill.rate).flatMap { $0 > 0 ? $0 : nil }
        }

        /// nil: no limit.
        fileprivate func maxLagBytes(_ configuration: StreamerConfiguration) -> UInt64? {
            (maxLagBytes ?? configuration.backfill.maxLagBytes).flatMap { $0 > 0 ? $0 : nil }
        }
    }

    /// Rows a second where no rate is set: what one streamer does with small rows.
    package static let assumedRate = 30_000

    /// Each with a refusal where it cannot be read.
    package var candidates: [BackfillCandidate]
    package var rows: UInt64 = 0
    /// Of the events.
    package var byteCount: UInt64 = 0
    /// Rows a second.
    package var rate: Int
    /// Nobody has set the rate.
    package var isRateAssumed: Bool
    package var seconds: Double = 0
    /// Where the rows go.
    package var stream: String
    /// nil: the live stream's.
    package var prefix: String?
    package var isNewStream = false
    package var room = BackfillRoom.Verdict()

    /// Looks at both servers.
    /// - Throws: `.stop(.configuration)` for patterns that mean no table, a condition that the server refuses, and a target that cannot be.
    package static func make(_ wanted: Wanted, _ configuration: StreamerConfiguration) throws(StreamerError) -> BackfillPlan {
        let sql = try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(configuration.backfill.connection ?? configuration.source.connection, isReadOnly: true, isDirect: true)
        }
        if configuration.backfill.connection != nil { try requireSource(of: sql, configuration) }
        let (candidates, unmatched) = try BackfillTables.read(patterns: wanted.tables, configuration, over: sql)
        if !unmatched.isEmpty { throw try refusal(of: unmatched, configuration, over: sql) }
        let rate = wanted.rate(configuration)
        var plan = BackfillPlan(
            candidates: candidates, rate: rate ?? assumedRate, isRateAssumed: rate == nil, stream: configuration.stream.name)
        if let condition = wanted.condition { try plan.restrict(to: condition, over: sql) }
        for candidate in plan.candidates where candidate.refusal == nil {
            plan.rows += candidate.estimatedRows
            plan.byteCount += candidate.byteCount + candidate.estimatedRows * BackfillRoom.overheadByteCount
        }
        plan.seconds = Double(plan.rows) / Double(plan.rate)
        let link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { link.connection.close() }
        try plan.aim(wanted, configuration, over: link.connection)
        return plan
    }

    /// Refuses a connection of the rows' own that leads elsewhere than the stream's.
    private static func requireSource(of sql: borrowing SQLConnection, _ configuration: StreamerConfiguration) throws(StreamerError) {
        let refusal = try StreamerError.ofPostgres { () throws(PostgresError) in
            try ServerMark.read(over: sql).refusal(streaming: ServerMark.read(over: SQLConnection(configuration.source.connection, isReadOnly: true)))
        }
        guard let refusal else { return }
        throw .stop(
            .configuration, what: "nothing was asked for: \(refusal)",
            remedy: "Give backfill.url (or backfill.url_file) the host, the port and the database of source.url, with the other role")
    }

    /// Those that cannot be read.
    package var refused: [BackfillCandidate] { candidates.filter { $0.refusal != nil } }

    /// Refuses tables that cannot be read, and a stream without room.
    package func requireCarriedOut(_ wanted: Wanted) throws(StreamerError) {
        let refusals = refused.compactMap(\.refusal)
        if !refusals.isEmpty {
            let shown = refusals.prefix(Self.shownLimit) + (refusals.count > Self.shownLimit ? ["\(refusals.count - Self.shownLimit) more: slotstream backfill --dry-run"] : [])
            throw .stop(
                .configuration,
                what: "nothing was asked for: \(refusals.count) of \(candidates.count) tables cannot be read. \(shown.joined(separator: ". "))",
                remedy: "Let a superuser or the owner of the tables run the statements, or leave out the tables")
        }
        guard !candidates.isEmpty else {
            throw .stop(.configuration, what: "nothing was asked for: the partitioned tables have no partition", remedy: "Name other tables with --table")
        }
        if let refusal = room.refusal, !wanted.isForced {
            throw .stop(
                .configuration, what: "nothing was asked for: \(refusal). The rows take about \(Amount.bytes(byteCount))",
                remedy: "\(room.remedy). To begin all the same, use --force")
        }
    }

    /// Tables that are looked at for one that was perhaps meant.
    private static let nearLimit = 1_000
    /// Refusals that are told one by one.
    private static let shownLimit = 10

    /// Asks for the run, and makes its stream where there is none.
    package func put(_ wanted: Wanted, by name: String, _ configuration: StreamerConfiguration) throws(StreamerError) -> BackfillRun {
        try requireCarriedOut(wanted)
        let link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { link.connection.close() }
        var request = BackfillRequest(
            run: 0, tables: wanted.tables, condition: wanted.condition, operation: wanted.operation, rate: wanted.rate(configuration),
            maxLagBytes: wanted.maxLagBytes(configuration), requestedAt: PostgresTimestamp.now.description, requestedBy: name)
        if let target = try Self.target(wanted, configuration, isDryRun: false, over: link.connection) {
            request.intoStream = target.stream
            request.intoPrefix = target.prefix
        }
        return try BackfillDesk.put(request, configuration.stream.name, link.connection)
    }

    // MARK: - Finding out

    private static func target(
        _ wanted: Wanted, _ configuration: StreamerConfiguration, isDryRun: Bool, over nats: JetStreamConnection
    ) throws(StreamerError) -> ReplayTarget? {
        guard wanted.intoStream != nil || wanted.intoPrefix != nil else { return nil }
        return try ReplayTarget.find(
            prefix: wanted.intoPrefix, stream: wanted.intoStream, configuration, for: .backfill, isDryRun: isDryRun, over: nats)
    }

    private mutating func aim(_ wanted: Wanted, _ configuration: StreamerConfiguration, over nats: JetStreamConnection) throws(StreamerError) {
        var configured = configuration.stream
        if let target = try Self.target(wanted, configuration, isDryRun: true, over: nats) {
            stream = target.stream
            prefix = target.prefix
            isNewStream = target.isNew
            configured.name = target.stream
        }
        do throws(JetStreamError) {
            let info = try nats.streamInfo(stream)
            let consumers = info == nil ? [] : try Self.allowed { () throws(JetStreamError) in try nats.consumers(stream).consumers } ?? []
            let account = try Self.allowed { () throws(JetStreamError) in try nats.accountStorage() }
            let found = BackfillRoom(info, wanted: configured, consumers: consumers, account: account)
            room = found.verdict(BackfillRoom.Need(rows: rows, byteCount: byteCount, seconds: seconds))
        } catch {
            throw .jetStream(error)
        }
    }

    /// nil where the account may not ask.
    private static func allowed<Value>(_ body: () throws(JetStreamError) -> Value) throws(JetStreamError) -> Value? {
        do throws(JetStreamError) {
            return try body()
        } catch {
            if error.isPermission { return nil }
            throw error
        }
    }

    /// Has the server check the condition for each table that can be read, and count with it.
    ///
    /// The condition has to stand in brackets and between two words: whatever closes a bracket, or goes on behind the condition, fits in one of the two at most. One statement is taken at a
    /// time, and it is only explained.
    private mutating func restrict(to condition: String, over sql: borrowing SQLConnection) throws(StreamerError) {
        for index in candidates.indices where candidates[index].refusal == nil {
            let name = candidates[index].sqlName
            let rows: [[String?]]
            do throws(PostgresError) {
                _ = try sql.query("EXPLAIN SELECT CASE WHEN \(condition)\nTHEN true END FROM ONLY \(name)")
                rows = try sql.query("EXPLAIN SELECT FROM ONLY \(name) WHERE (\(condition)\n)")
            } catch {
                guard case .server(let sqlState, _, let message, _, let hint, _) = error else { throw .postgres(error) }
                throw .stop(
                    .configuration, what: "the condition of --where cannot be used for \(name): \(ShownText.line(message)) (\(sqlState))",
                    remedy: hint.map(ShownText.line) ?? "Correct the condition: an expression of the columns of each table, as behind WHERE")
            }
            guard let estimate = rows.first?.first.flatMap({ $0 }).flatMap(Self.estimatedRows(inPlan:)), estimate < candidates[index].estimatedRows else { continue }
            let share = Double(estimate) / Double(candidates[index].estimatedRows)
            candidates[index].byteCount = UInt64(Double(candidates[index].byteCount) * share)
            candidates[index].estimatedRows = estimate
        }
    }

    /// Of `Seq Scan on t  (cost=0.00..35.50 rows=13 width=0)`.
    static func estimatedRows(inPlan line: String) -> UInt64? {
        guard let start = line.firstRange(of: " rows=") else { return nil }
        return UInt64(line[start.upperBound...].prefix { $0.isASCII && $0.isNumber })
    }

    private static func refusal(
        of unmatched: [String], _ configuration: StreamerConfiguration, over sql: borrowing SQLConnection
    ) throws(StreamerError) -> StreamerError {
        let publication = configuration.source.publication
        let names = try StreamerError.ofPostgres { () throws(PostgresError) in
            try PublicationContents.read(publication, over: sql)?.publishedNames ?? []
        }
        let near = names.prefix(Self.nearLimit).map { name in (name, unmatched.map { NearestName.distance($0, name) }.min() ?? 0) }.sorted { ($0.1, $0.0) < ($1.1, $1.0) }.map(\.0)
        return .stop(
            .configuration,
            what: "no published table matches \(ShownText.names(unmatched)). Publication \(publication) publishes \(names.isEmpty ? "no table" : ShownText.names(near, limit: 5))",
            remedy: "Correct --table, or let `slotstream setup` add the table to the publication")
    }
}
