import History
import JetStreamPublishing
import PostgresReplication

/// What either server has no room for: said before anything is made.
extension Setup {
    /// Refuses a server that has no replication slot left for us.
    static func requireSlotRoom(_ sql: borrowing SQLConnection) throws(StreamerError) {
        let rows = try StreamerError.ofPostgres { () throws(PostgresError) in
            try sql.query(
                """
                SELECT pg_catalog.current_setting('max_replication_slots'), count(*),
                    count(*) FILTER (WHERE NOT active) FROM pg_catalog.pg_replication_slots
                """)
        }
        guard let row = rows.first, row.count == 3, let limit = row[0].flatMap({ Int($0) }),
            let count = row[1].flatMap({ Int($0) }), let idleCount = row[2], count >= limit
        else { return }
        throw .stop(
            .configuration,
            what: limit == 0
                ? "PostgreSQL allows no replication slot: max_replication_slots is 0"
                : "PostgreSQL has no replication slot left: all \(limit) are in use (max_replication_slots), \(idleCount) of them by nobody at the moment",
            remedy: (limit == 0 ? "" : FailurePolicy.dropsOneSlot + ". Or ") + raisesSlotLimit(above: limit))
    }

    /// The remedy where there are to be more slots.
    static func raisesSlotLimit(above limit: Int) -> String {
        "raise the limit: ALTER SYSTEM SET max_replication_slots = \(max(10, 2 * limit)); then restart PostgreSQL"
    }

    /// Refuses subjects of which another stream of the account captures one: JetStream would not make ours.
    static func requireFreeSubjects(
        _ stream: StreamConfiguration, _ nats: JetStreamConnection
    ) throws(StreamerError) {
        let names: [String]
        do throws(JetStreamError) {
            names = try nats.streamNames(capturing: stream.subject).filter { $0 != stream.name }
        } catch {
            // Who may not ask is told by JetStream, when the stream is made.
            if error.isPermission { return }
            throw .jetStream(error)
        }
        guard let first = names.first else { return }
        throw .stop(
            .configuration,
            what: "stream \(stream.name) cannot be made: stream \(names.joined(separator: ", ")) captures subjects of \(stream.subject) already",
            remedy: "\(FailurePolicy.choosesOtherSubjects). Or, if nobody needs that stream: nats stream rm \(first)")
    }
}
