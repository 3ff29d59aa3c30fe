import Capture
import History
import JetStreamPublishing
import Logging
import PostgresReplication
import Threads
import WAL

/// What of a session reads tables beside the stream.
extension Streamer {
    /// Of the names of a run's tables, where the server takes larger records.
    private static let tableByteLimit = 128 << 10

    /// Both ends of it.
    struct Backfill {
        var placer: BackfillPlacer
        var exchange: BackfillExchange
    }

    /// Makes what puts rows in, which also remembers what the stream says of rows that are to be read again; and begins the thread that reads tables, where the session
    /// is one that goes on.
    /// - Parameter record: As it is stored, with our name in it.
    /// - Returns: nil: the session stores nothing.
    func beginBackfill(
        _ joined: Joined, _ record: CheckpointRecord, _ configuration: StreamerConfiguration, _ columnRules: ColumnRules, _ server: ServerMark, _ window: RetainedWindow, _ handover: Handover,
        _ link: NATSLink
    ) throws(StreamerError) -> Backfill? {
        guard mending == nil else { return nil }
        let exchange = try StreamerError.ofSystem { () throws(SystemError) in try BackfillExchange(wakeSource: { [control] in control.wake.signal() }) }
        let facts = joined.facts
        // A row's id has at most 192 bytes.
        let payloadLimit = payloadLimit(of: joined, over: link.connection, idByteCount: 192)
        let encoder: ReadEncoder
        do throws(CaptureError) {
            encoder = try ReadEncoder(
                configuration: configuration.capture, functions: configuration.captureFunctions, identity: facts.identity,
                payloadLimit: payloadLimit)
        } catch {
            throw .capture(error)
        }
        let placer = BackfillPlacer(
            exchange, record: record, known: joined.plan.known, identity: facts.identity, timelines: facts.timelines, encoder: encoder,
            subjectPrefix: configuration.capture.subjectPrefix, window: window, handover: handover, failpoints: failpoints)
        warnOfLostRows(joined)
        guard goal == nil, joined.plan.repair == nil else { return Backfill(placer: placer, exchange: exchange) }
        let history =
            "\(facts.identity.systemID) \(facts.timelines.currentTimeline) \(record.streamCreated) \(record.genesis.kind) \(record.genesis.lsn) \(facts.options.text)"
        let reader = BackfillReader(
            BackfillReader.Session(
                configuration: configuration, identity: facts.identity, streamCreated: record.streamCreated,
                tableByteLimit: min(Self.tableByteLimit, payloadLimit / 4), history: history, server: server, columnRules: columnRules),
            exchange, over: link.connection, observations: observations, failpoints: failpoints, logger: logger)
        try StreamerError.ofSystem { () throws(SystemError) in try reader.start() }
        return Backfill(placer: placer, exchange: exchange)
    }

    /// Rows of a run that is over may have been in the end that the stream has lost: no slot sends those again.
    private func warnOfLostRows(_ joined: Joined) {
        let end = joined.plan.known.storedSequence
        guard end < joined.record.lastSequence else { return }
        for run in joined.record.finishedBackfills ?? [] where run.sequence.map({ $0 > end }) ?? false {
            logger.warning(
                "the stream lost its end, and perhaps rows of a backfill: read the tables again",
                metadata: [
                    "run": .stringConvertible(run.run), "tables": "\(run.tables.joined(separator: ", "))",
                    "hint": "slotstream backfill \(run.tables.map { "--table \($0)" }.joined(separator: " "))",
                ])
        }
    }
}
