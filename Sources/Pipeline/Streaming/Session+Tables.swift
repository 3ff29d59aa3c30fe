import PostgresReplication
import Threads
import WAL

/// Which tables are published: other sessions change that while this one streams.
extension Session {
    /// Looks now and then, and tells what has changed. That the publication is gone is told elsewhere.
    func lookAtTables(at now: Instant) {
        guard !isMending, server.isAskable, tableWatch.isDue(at: now) else { return }
        defer { tableWatch.looked(from: now, to: port.now) }
        guard let (mark, contents) = server.publicationContents(ifChanged: tableWatch.isChanged) else { return }
        tableWatch.read(mark)
        PublicationReport.tell(contents, configuration.source, to: observations, logger)
    }
}
