import History
import Logging
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What a session tells of its connections and of what is published, before it streams; and what outlives the last one.
extension Streamer {
    /// Leaves word of why it stopped for good, for whoever asks when log and process are gone.
    func keepLastStop(_ reason: StopReason, _ error: StreamerError, _ remedy: String) {
        LastStop(
            slot: configuration.source.slot, reason: reason, at: PostgresTimestamp.now.description, message: "\(error)", remedy: remedy,
            eventsPerSecond: observations.texts.withLock { $0.rateMemory.latest?.eventsPerSecond }, version: Slotstream.version
        ).keep(beside: configuration)
    }

    /// Logs what PostgreSQL says beside its answers.
    static func noticeHandler(_ logger: Logger) -> NoticeHandler {
        { notice in
            logger.notice(
                "PostgreSQL says", metadata: ["sqlstate": "\(notice.sqlState)", "notice": "\(notice)"])
        }
    }

    /// Warns, once in the life of the process, of a connection that others could read or alter.
    func warn(of exposure: String?, of server: String, remedy: String) {
        guard let exposure, exposedServers.withLock({ $0.insert(server).inserted }) else { return }
        let finding = Finding.connectionOpenToOthers(server, exposure: exposure, fix: remedy)
        logger.warning("\(finding.message)", metadata: finding.fields.merging(["why": "\(finding.why)"]) { first, _ in first })
    }

    /// Warns of what is otherwise than configured and is gone on with.
    func tell(differences: [Finding]) {
        for finding in differences {
            var fields = finding.fields
            fields["difference"] = "\(finding.sentence)"
            logger.warning("not as configured", metadata: fields)
        }
    }

    /// Tells which tables are published. A start at which there is none is refused; later on that is told, and what was published before goes out.
    func lookAtTables(_ sql: borrowing SQLConnection) throws(StreamerError) {
        let source = configuration.source
        let isStart = observations.texts.withLock { $0.publication == nil }
        let (contents, plan) = try StreamerError.ofPostgres { () throws(PostgresError) in
            (
                try PublicationContents.read(source.publication, over: sql),
                isStart ? try PublicationPlan.read(source, over: sql) : PublicationPlan()
            )
        }
        guard let contents else { return }
        if isStart, contents.isEmptyByMistake(source) { throw .found(.configuration, [.publicationEmpty(source.publication)]) }
        PublicationReport.tell(contents, source, to: observations, logger)
        for finding in plan.refusals + Finding.tablesNotPublished(plan.missing, publication: source.publication) {
            PublicationReport.tell(finding, at: .warning, logger)
        }
    }
}
