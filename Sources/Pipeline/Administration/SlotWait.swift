import PostgresReplication
import Threads
import WAL

/// What PostgreSQL waits for while it makes a slot: the transactions that ran when that began, prepared ones among them.
package struct SlotWait: Sendable, Equatable {
    /// Who holds such a transaction.
    package enum Holder: Sendable, Equatable {
        /// Nobody any more: it was prepared, and waits to be committed or rolled back in its database.
        case prepared(gid: String, database: String, since: String)
        case process(pid: Int32, database: String, user: String)
    }

    package var slot: String
    /// The oldest first, ``holderLimit`` at most; empty where PostgreSQL did not say in time.
    package var holders: [Holder]

    /// So many are named.
    package static let holderLimit = 10

    /// Shows whom PostgreSQL waits for, to whoever asks in psql.
    package static let query =
        "SELECT 'process ' || pid AS holder, datname AS database, xact_start AS since FROM pg_stat_activity WHERE backend_xid IS NOT NULL UNION ALL SELECT 'prepared transaction ' || quote_literal(gid), database, prepared FROM pg_prepared_xacts ORDER BY 3"

    /// What happens, as a sentence without its end.
    package static let what = "PostgreSQL makes the slot when the transactions that run now have ended"

    /// One line for each holder: who it is, and the command that ends it.
    package var lines: [String] {
        holders.map { holder in
            switch holder {
            case .prepared(let gid, let database, let since):
                "prepared transaction \(quoteLiteral(gid)) of database \(database), prepared at \(since): in that database, COMMIT PREPARED \(quoteLiteral(gid)) or ROLLBACK PREPARED \(quoteLiteral(gid))"
            case .process(let pid, let database, let user):
                "process \(pid) of \(user) in database \(database): wait for its end, or SELECT pg_terminate_backend(\(pid))"
            }
        }
    }

    /// For `/readyz`: why the streamer is not ready.
    package var reason: String {
        let first = lines.first.map { ". The oldest is \($0)" } ?? ""
        return "PostgreSQL has not made slot \(slot) yet, and waits for \(holders.count == 1 ? "a transaction" : "transactions") to end\(first)"
    }
}

extension SlotWait {
    /// Looks, while a slot is being made, whom PostgreSQL waits for.
    struct Watch {
        /// A slot that nothing holds up is made sooner.
        static let patience = Duration.seconds(1)
        /// Between two looks.
        static let interval = Duration.seconds(5)
        /// For one look.
        static let timeout = Duration.seconds(2)

        private var nextLookAt = Instant.now + patience
        private var told: SlotWait?

        /// - Returns: What is to be told: the first time, and whenever others are waited for; nil: nothing new.
        mutating func look(slot: String, over sql: borrowing SQLConnection) -> SlotWait? {
            guard Instant.now >= nextLookAt else { return nil }
            let now = (try? SlotWait.holders(over: sql)) ?? []
            // Whoever began later is not waited for, until none of those is left that were: then the next of its waits has begun.
            let still = told.map { told in now.filter { told.holders.contains($0) } } ?? now
            let wait = SlotWait(slot: slot, holders: still.isEmpty ? now : still)
            nextLookAt = .now + Self.interval
            guard wait != told else { return nil }
            told = wait
            return wait
        }
    }

    /// Prepared transactions that would hold up a slot that were made now, a line each: nothing ends them by itself.
    static func prepared(over sql: borrowing SQLConnection) throws(PostgresError) -> [String] {
        let holders = try holders(over: sql).filter { if case .prepared = $0 { true } else { false } }
        return SlotWait(slot: "", holders: holders).lines
    }

    private static func holders(over sql: borrowing SQLConnection) throws(PostgresError) -> [Holder] {
        let rows = try sql.query(
            """
            SELECT * FROM (
                SELECT pg_catalog.age(transaction), database, owner, NULL, gid, prepared FROM pg_catalog.pg_prepared_xacts
                UNION ALL SELECT pg_catalog.age(backend_xid), datname, usename, pid, NULL, NULL
                FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL
            ) AS holder (age, database, name, pid, gid, prepared) ORDER BY age DESC LIMIT \(holderLimit)
            """, timeout: Watch.timeout)
        return rows.compactMap { row in
            guard row.count == 6 else { return nil }
            let database = row[1] ?? "none"
            if let gid = row[4] { return .prepared(gid: gid, database: database, since: row[5] ?? "") }
            return row[3].flatMap { Int32($0) }.map { .process(pid: $0, database: database, user: row[2] ?? "PostgreSQL") }
        }
    }
}
