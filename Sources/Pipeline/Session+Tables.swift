import PostgresReplication

/// Which tables are published: other sessions change that while this one streams.
extension Session {
    /// Looks now and then, and tells what has changed. That the publication is gone is told elsewhere.
    func lookAtTables(at now: Instant) {
        guard delivery.mending == nil, !isSQLLost, tableWatch.isDue(at: now) else { return }
        let contents = ask { (sql) throws(PostgresError) in
            try PublicationContents.read(configuration.source.publication, over: sql, timeout: Self.lookTimeout)
        }
        tableWatch.looked(from: now, to: .now)
        guard let contents, let contents else { return }
        PublicationReport.tell(contents, configuration.source, to: observations, logger)
    }
}
