import PostgresReplication
package import WAL

/// What the catalogue says of the publication, at one moment.
package struct PublicationState: Equatable {
    var isThere: Bool
    /// Its row is older than all that the slot can still be asked for: whatever is decoded finds it, under this name.
    var isOlderThanSlot: Bool
    /// How far the server had written, or a little less far than at that moment.
    var serverLSN: LSN

    package init(isThere: Bool, isOlderThanSlot: Bool, serverLSN: LSN) {
        self.isThere = isThere
        self.isOlderThanSlot = isOlderThanSlot
        self.serverLSN = serverLSN
    }

    static func read(
        _ source: StreamerConfiguration.Source, over sql: borrowing SQLConnection, timeout: Duration? = nil
    ) throws(PostgresError) -> PublicationState {
        // A publication that was made again or renamed is another row. Below catalog_xmin every snapshot of the past sees what was committed.
        let query = """
            SELECT p.oid IS NOT NULL, coalesce(pg_catalog.age(p.xmin) > pg_catalog.age(s.catalog_xmin), false), \
            pg_catalog.pg_current_wal_lsn()
            FROM (SELECT 1) AS one
            LEFT JOIN pg_catalog.pg_publication p ON p.pubname = $1
            LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $2
            """
        guard let row = try sql.query(query, [source.publication, source.slot], timeout: timeout).first, row.count == 3,
            let serverLSN = row[2].flatMap({ LSN($0) })
        else { throw .protocolViolation(message: "cannot read what the catalogue says of the publication") }
        return PublicationState(isThere: row[0] == "t", isOlderThanSlot: row[1] == "t", serverLSN: serverLSN)
    }
}
