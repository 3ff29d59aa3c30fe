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
        let names = try StreamerError.ofJetStream { () throws(JetStreamError) in try otherStreams(capturing: stream.subject, than: stream, nats) }
        guard !names.isEmpty else { return }
        throw .found(.configuration, [.subjectsTaken(stream.subject, of: stream.name, by: names)])
    }

    /// Streams of the account that capture one of these subjects; none where the account may not ask: who may not is told by JetStream, when the stream is made.
    static func otherStreams(
        capturing subject: String, than stream: StreamConfiguration, _ nats: JetStreamConnection
    ) throws(JetStreamError) -> [String] {
        do throws(JetStreamError) {
            return try nats.streamNames(capturing: subject).filter { $0 != stream.name }
        } catch {
            if error.isPermission { return [] }
            throw error
        }
    }
}
