import PostgresReplication

/// A transaction that may have written to a table: it holds a lock that writers take until it is shown to everybody.
struct TableHolder: Equatable {
    /// Tells it from all others.
    var id: String
    /// For people: `pid 4711 (app@shop), 12 s`.
    var text: String

    /// Those that there are now, prepared ones too.
    static func read(of oids: [UInt32], over sql: borrowing SQLConnection) throws(PostgresError) -> [TableHolder] {
        let list = "{" + oids.map(String.init).joined(separator: ",") + "}"
        return try sql.query(
            """
            SELECT DISTINCT l.virtualtransaction,
                CASE WHEN l.pid IS NULL THEN coalesce((
                        SELECT pg_catalog.concat('the prepared transaction ', pg_catalog.quote_literal(p.gid), ', since ', p.prepared)
                        FROM pg_catalog.pg_locks x JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid
                        WHERE x.locktype = 'transactionid' AND x.pid IS NULL AND x.virtualtransaction = l.virtualtransaction LIMIT 1),
                        'a prepared transaction, see pg_prepared_xacts')
                     ELSE pg_catalog.concat('pid ', l.pid, ' (', a.usename, '), since ', a.xact_start) END
            FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
            WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY ($1::pg_catalog.oid[])
                AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
                AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
            """, [list]
        ).compactMap { row in
            guard row.count == 2, let id = row[0], let text = row[1] else { return nil }
            return TableHolder(id: id, text: text)
        }
    }
}
