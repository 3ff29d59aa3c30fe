import History
import Logging
import PostgresReplication
import Synchronization

/// What a session tells of its connections and of what is published, before it streams.
extension Streamer {
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
        logger.warning(
            "the connection to \(server) leaves this machine, and others could read or alter the data",
            metadata: ["why": "\(exposure)", "remedy": "\(remedy)"])
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
        if isStart, contents.isEmptyByMistake(source) { throw TableFinding.refusal([.empty(source.publication)]) }
        PublicationReport.tell(contents, source, to: observations, logger)
        for finding in plan.refusals + TableFinding.missing(plan.missing, publication: source.publication) {
            PublicationReport.tell(finding, at: .warning, logger)
        }
    }
}
