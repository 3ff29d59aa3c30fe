import Capture
import Glibc
import History
import Logging
import PostgresReplication
import Threads
import WAL

/// Reads a range of WAL as events from a temporary copy of a slot: neither the slot nor its streamer notices.
///
/// It belongs to one thread. The copy goes with the connection.
final class PastReader {
    /// Where the copy stands: everything that commits at or after it can be read.
    let reachLSN: LSN
    let identity: SourceIdentity
    let timelines: TimelineHistory
    private let configuration: StreamerConfiguration
    private let copy: String
    private let wake: WakeSignal
    private let logger: Logger
    /// Until it reads.
    private var replication: ReplicationConnection?
    private var reading: Reading?

    private struct Reading {
        let reader: ChangeReader<WalsenderPort, TableDescriber>
        let server: OrdinaryConnection
    }

    /// Connects and makes the copy.
    /// - Parameters:
    ///   - slot: Whose copy is read; nil: the anchor's.
    ///   - wake: Ends a wait for the walsender, from any thread.
    /// - Throws: `.stop` where there is no such slot, with what to do.
    init(_ configuration: StreamerConfiguration, slot: String?, wake: WakeSignal, logger: Logger) throws(StreamerError) {
        let source = slot ?? ReplayWindow.anchor(of: configuration.source.slot)
        let sql = try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(configuration.source.connection, isReadOnly: true)
        }
        let (state, databaseOID, database) = try StreamerError.ofPostgres { () throws(PostgresError) in
            (try sql.slot(named: source), try sql.databaseOID(), try sql.databaseName())
        }
        try Self.require(state, named: source, isAnchor: slot == nil, database: database)
        let copy = String(configuration.source.slot.prefix(40)) + "_past_" + String(UInt64.random(in: .min ... .max), radix: 36)
        do throws(PostgresError) {
            let replication = try ReplicationConnection(
                configuration.source.connection,
                walSenderTimeoutMilliseconds: configuration.source.walSenderTimeoutMilliseconds.map { max($0, 60_000) })
            let system = try replication.identifySystem()
            identity = SourceIdentity(systemID: system.systemID, databaseOID: databaseOID, databaseName: system.database)
            timelines = try replication.timelineHistory(of: system.timeline)
            reachLSN = try replication.copyLogicalSlot(from: source, to: copy, temporary: true)
            try replication.takeBytesOfNoEncoding()
            self.replication = consume replication
        } catch {
            throw .postgres(error)
        }
        self.configuration = configuration
        self.copy = copy
        self.wake = wake
        self.logger = logger
    }

    private static func require(
        _ slot: SlotState?, named name: String, isAnchor: Bool, database: String
    ) throws(StreamerError) {
        guard let slot else {
            throw .stop(
                .configuration, what: "slot \(name) does not exist, so PostgreSQL cannot send the past again",
                remedy: isAnchor
                    ? Steps.text([
                        "Set replay.window to a time such as \"10m\", and start the streamer, which makes the slot: `slotstream run`",
                        "Or read from another slot: `--slot NAME`. To show the slots: `slotstream slot list`",
                    ])
                    : "Show the slots: `slotstream slot list`")
        }
        guard slot.slotType == "logical", slot.plugin == "pgoutput", slot.database == database else {
            throw .stop(
                .configuration, what: "slot \(name) is not a logical slot of database \(database) with the plugin pgoutput",
                remedy: "Show the slots: `slotstream slot list`")
        }
        guard !slot.isInvalidated, slot.confirmedFlushLSN != nil else {
            throw .stop(
                .configuration, what: "slot \(name) was invalidated (\(slot.invalidationReason ?? slot.walStatus ?? "its WAL is gone"))",
                remedy: isAnchor
                    ? "Start the streamer, which makes the anchor slot anew: `slotstream run`" : "Show the slots: `slotstream slot list`")
        }
    }

    /// Begins to stream the copy.
    /// - Parameters:
    ///   - lsn: Nothing that commits before it is sent.
    ///   - payloadLimit: Larger events are poison.
    ///   - skips: What was passed over on purpose.
    func begin(at lsn: LSN, payloadLimit: Int, skips: [AcceptedSkip] = []) throws(StreamerError) {
        guard var replication = replication.take() else { return }
        let source = configuration.source
        let startLSN = max(lsn, reachLSN)
        let sql = try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(source.connection, isReadOnly: true)
        }
        let columnRules = try ColumnRules(configuration.ruledTables, publication: source.publication, sql: sql)
        let assembler: TransactionAssembler
        do throws(CaptureError) {
            assembler = try TransactionAssembler(
                configuration: configuration.capture, functions: configuration.captureFunctions, identity: identity,
                timelines: timelines, payloadLimit: payloadLimit, watermark: nil, proof: nil, skips: skips, eventKinds: [])
        } catch {
            throw .capture(error)
        }
        let server = OrdinaryConnection(sql, source, logger: logger)
        let tables = TableDescriber(configuration.casts, wake: wake, logger: logger)
        do throws(PostgresError) {
            try tables.begin(over: server, columnRules: columnRules, of: identity, timeline: timelines.currentTimeline)
            try replication.startReplication(
                slot: copy, at: startLSN, options: source.options(quotedPublication: quoteIdentifier(source.publication)))
        } catch {
            throw .postgres(error)
        }
        reading = Reading(
            reader: ChangeReader(
                WalsenderPort(replication, wake: wake), catalogue: tables, assembler: assembler, startLSN: startLSN),
            server: server)
    }

    /// Reads all that commits before `end`.
    /// - Parameters:
    ///   - sink: Takes the events.
    ///   - hasRoom: Whether the sink takes another one.
    ///   - turn: Called in every turn. False: it is no longer wanted.
    /// - Returns: Whether all was read.
    func read(
        before end: LSN, into sink: inout some EventSink & ~Copyable, hasRoom: () -> Bool,
        turn: () throws(StreamerError) -> Bool
    ) throws(StreamerError) -> Bool {
        guard let reading else { return false }
        return try reading.reader.read(before: end, over: reading.server, into: &sink, hasRoom: hasRoom, turn: turn)
    }

    /// What the events' `kindIndex` means.
    var kinds: [EventKind] { reading?.reader.assembler.eventKinds ?? [] }

    /// How far it has read.
    var position: LSN { reading?.reader.progress.endLSN ?? reachLSN }
}
