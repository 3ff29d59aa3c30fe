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
        throw .found(.configuration, [.noFreeSlot(limit: limit, idleCount: idleCount)])
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
        guard !names.isEmpty else { return }
        throw .found(.configuration, [.subjectsTaken(stream.subject, of: stream.name, by: names)])
    }
}
