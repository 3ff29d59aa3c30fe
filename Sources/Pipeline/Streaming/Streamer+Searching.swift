import Capture
import History
import JetStreamPublishing
import PostgresReplication
import WAL

/// What would end a streamer, found by reading as it would, without storing or confirming anything.
extension Streamer {
    /// What a search read.
    struct Search {
        var joined: Joined
        /// The first change that cannot be an event; nil: each that was read can be.
        var poison: (id: MessageID, error: CaptureError)?
    }

    /// Takes events, and nothing more.
    private struct DiscardedEvents: EventSink {
        mutating func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) {}
    }

    /// Looks among all that a streamer would read now, up to `lsn` and with what commits there, for the first change that cannot be an event.
    /// - Throws: `.slotActive` while somebody streams; why a streamer would not begin; what it would meet before.
    func searchPoison(through lsn: LSN) throws(StreamerError) -> Search {
        let source = configuration.source
        let sql = try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(source.connection, timeout: Self.connectTimeout, isReadOnly: true)
        }
        let slot = try StreamerError.ofPostgres { () throws(PostgresError) in try sql.slot(named: source.slot) }
        if let slot, slot.isActive { throw try SlotAdministration.active(slot, sql) }
        var replication = try StreamerError.ofPostgres { () throws(PostgresError) in
            try ReplicationConnection(source.connection, timeout: Self.connectTimeout)
        }
        let link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { link.connection.close() }
        let joined = try join(replication: replication, sql: sql, link: link)
        guard joined.plan.repair == nil else {
            throw .stop(
                .streamTailLost,
                what: "the stream \(configuration.stream.name) lost its end, which a streamer stores again at its start",
                remedy: Steps.text(["Start the streamer: `slotstream run`", "Run this command again if the streamer stops for an event"]))
        }
        let writtenLSN = joined.facts.serverFlushLSN
        guard joined.plan.startLSN <= lsn, lsn <= writtenLSN else { return Search(joined: joined) }
        let columnRules = try ColumnRules(configuration.ruledTables, publication: source.publication, sql: sql)
        let assembler = try makeAssembler(joined, payloadLimit: payloadLimit(of: joined, over: link.connection))
        do throws(PostgresError) {
            try replication.takeBytesOfNoEncoding()
            try replication.startReplication(
                slot: source.slot, at: joined.plan.startLSN,
                options: source.options(quotedPublication: quoteIdentifier(source.publication)))
        } catch {
            throw error.isObjectInUse ? .slotActive(nil) : .postgres(error)
        }
        let server = OrdinaryConnection(sql, source, logger: logger)
        let tables = tableDescriber()
        try StreamerError.ofPostgres { () throws(PostgresError) in
            try tables.begin(
                over: server, columnRules: columnRules, of: joined.facts.identity,
                timeline: joined.facts.timelines.currentTimeline)
        }
        let reader = ChangeReader(
            WalsenderPort(replication, wake: control.wake), catalogue: tables, assembler: assembler,
            startLSN: joined.plan.startLSN)
        var sink = DiscardedEvents()
        do throws(StreamerError) {
            // At the end of what is written there can be no commit record, only the end of a message's.
            _ = try reader.read(before: LSN(lsn.rawValue + 1), over: server, into: &sink, turn: { () throws(StreamerError) in
                lsn < writtenLSN || reader.progress.endLSN < lsn
            })
            return Search(joined: joined)
        } catch {
            guard case .capture(let poison) = error, case .poison(_, let position, _) = poison else { throw error }
            let identity = joined.facts.identity
            let id = MessageID(
                systemID: identity.systemID, databaseOID: identity.databaseOID,
                timeline: joined.facts.timelines.timeline(of: position),
                transactionID: reader.assembler.currentTransactionID, position: position)
            return Search(joined: joined, poison: (id, poison))
        }
    }
}
