import PostgresReplication
import Threads

/// Which tables are published: other sessions change that while this one streams.
extension Session {
    /// Looks now and then, and tells what has changed. That the publication is gone is told elsewhere.
    func lookAtTables(at now: Instant) {
        guard delivery.mending == nil, !isSQLLost, tableWatch.isDue(at: now) else { return }
        defer { tableWatch.looked(from: now, to: .now) }
        // The mark first: what changes in between makes another one.
        let mark = ask { (sql) throws(PostgresError) in
            try PublicationContents.changeMark(over: sql, timeout: Self.lookTimeout)
        }
        guard let mark, tableWatch.isChanged(mark) else { return }
        let contents = ask { (sql) throws(PostgresError) in
            try PublicationContents.read(configuration.source.publication, over: sql, timeout: Self.lookTimeout)
        }
        guard let contents, let contents else { return }
        tableWatch.read(mark)
        PublicationReport.tell(contents, configuration.source, to: observations, logger)
    }
}
