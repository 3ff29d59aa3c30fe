import History
import JetStreamPublishing
import Logging
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What a session finds out before it streams: where both servers stand, and so where it goes on.
extension Streamer {
    /// Where it goes on, and how.
    struct Joined {
        var facts: Recovery.Facts
        var revision: UInt64
        var record: CheckpointRecord
        var plan: Recovery.Plan
        /// Whether transactions go out as atomic batches.
        var isAtomic: Bool
        /// The stream's own, in bytes; nil: it has none.
        var messageSizeLimit: Int?
    }

    /// Finds out where to go on; sets up on a first start. What could be a stale answer is read again before it is believed.
    func join(
        replication: borrowing ReplicationConnection, sql: borrowing SQLConnection, link: NATSLink
    ) throws(StreamerError) -> Joined {
        var hasSetUp = false
        while true {
            guard !control.isRequested else { throw .cancelled }
            let (facts, revision, outcome) = try ServerFacts.assess(
                configuration, replication: replication, sql: sql, nats: link.connection, isMending: mending != nil
            ) { (_, what) throws(StreamerError) in
                logger.warning("reading the stream again before this is believed", metadata: ["what": "\(what)"])
                control.wait(.seconds(1), observations)
                guard !control.isRequested else { throw .cancelled }
            }
            failpoints.reached(.recovering)
            logger.debug(
                "both servers were read",
                metadata: [
                    "slot_confirmed_lsn": "\(facts.slot?.confirmedFlushLSN.map { "\($0)" } ?? "none")",
                    "slot_wal_status": "\(facts.slot?.walStatus ?? "unknown")", "server_lsn": "\(facts.serverFlushLSN)",
                    "record_confirmed_lsn": "\(facts.record?.confirmedLsn ?? "none")",
                    "record_last_sequence": facts.record.map { .stringConvertible($0.lastSequence) } ?? "none",
                    "stream_last_sequence": facts.stream.map { .stringConvertible($0.lastSequence) } ?? "none",
                ])
            switch outcome {
            case .proceed(let plan):
                guard let record = facts.record else {
                    throw .checkpointConflict("the checkpoint record disappeared")
                }
                try Setup.requireAccount(link.connection)
                tell(
                    differences: try Setup.compareStream(configuration, link.connection)
                        + Setup.bucketFindings(configuration, link.connection))
                let stream = try StreamerError.ofJetStream { () throws(JetStreamError) in
                    try link.connection.streamInfo(configuration.stream.name)?.config
                }
                let isAtomic = takesBatches(stream, of: link.connection)
                try Setup.requirePublication(configuration, sql: sql)
                try Setup.requireColumns(configuration, sql: sql)
                return Joined(
                    facts: facts, revision: revision, record: record, plan: plan, isAtomic: isAtomic, messageSizeLimit: stream?.messageSizeLimit)
            case .firstStart:
                guard isSetupAllowed else {
                    throw .stop(
                        .configuration,
                        what:
                            "nothing is set up yet for slot \(configuration.source.slot) and stream \(configuration.stream.name)",
                        remedy: "Create the slot and the stream: `slotstream setup`")
                }
                guard !hasSetUp else { throw .checkpointConflict("the slot or the stream disappeared after setup") }
                hasSetUp = true
                defer { observations.texts.withLock { $0.slotWait = nil } }
                let outcome = try Setup.perform(
                    configuration, options: Setup.Options(failpoints: failpoints), replication: replication, sql: sql,
                    nats: link.connection,
                    isWanted: {
                        // The slot is made when the transactions that run now have ended.
                        self.observations.turned(.source)
                        return !self.control.isRequested
                    },
                    onDoubt: { logger.warning("reading the stream again before this is believed", metadata: ["what": "\($0)"]) },
                    onSlotWait: { wait in
                        observations.texts.withLock { $0.slotWait = wait.reason }
                        logger.notice(
                            "\(SlotWait.what): waiting for them",
                            metadata: [
                                "slot": "\(wait.slot)", "holders": "\(wait.lines.joined(separator: "; "))",
                                "query": "\(SlotWait.query)",
                            ])
                    },
                    onFailure: { report in
                        // The next attempt goes on with what is there.
                        guard !report.goesOn else { return }
                        logger.warning(
                            "setup failed",
                            metadata: [
                                "undone": "\(report.undone.joined(separator: "; "))",
                                "left": "\(report.left.joined(separator: "; "))",
                            ])
                    })
                for object in outcome.created { logger.notice("created", metadata: ["object": "\(object)"]) }
                for note in outcome.notes {
                    var fields: Logger.Metadata = ["note": "\(note.text)"]
                    if let id = note.id { fields["finding"] = "\(id.rawValue)" }
                    logger.notice("setup", metadata: fields)
                }
            case .refuse(let reason, let what, let remedy, _): throw .stop(reason, what: what, remedy: remedy)
            }
        }
    }

    /// Whether transactions go out as atomic batches; says so where they are asked for and cannot be had.
    private func takesBatches(_ stream: StreamInfo.Config?, of connection: JetStreamConnection) -> Bool {
        guard configuration.delivery.isAtomic else { return false }
        let canServer = connection.takesAtomicBatches
        if canServer, stream?.allowAtomic == true { return true }
        let finding = Finding.noAtomicBatches(configuration.stream.name, canServer: canServer)
        logger.warning(
            "\(finding.message)",
            metadata: finding.fields.merging([
                "nats_server": "\(connection.serverVersion ?? "unknown")", "stream": "\(configuration.stream.name)",
            ]) { first, _ in first })
        return false
    }
}
