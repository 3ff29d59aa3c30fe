import History
import JetStreamPublishing
import PostgresReplication

/// Connections to both servers, for a command that runs once; all of them end with it.
struct ServerConnections: ~Copyable {
    let replication: ReplicationConnection
    let sql: SQLConnection
    let link: NATSLink

    /// Connects, waiting for it.
    /// - Parameter onNotice: Called with what PostgreSQL says beside its answers.
    init(_ configuration: StreamerConfiguration, onNotice: NoticeHandler? = nil) throws(StreamerError) {
        let parameters = configuration.source.connection
        let replication = try StreamerError.ofPostgres { () throws(PostgresError) in
            try ReplicationConnection(parameters, onNotice: onNotice)
        }
        let sql = try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(parameters, isReadOnly: true, onNotice: onNotice)
        }
        link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        self.replication = replication
        self.sql = sql
    }

    var nats: JetStreamConnection { link.connection }

    deinit { nats.close() }
}
