import History
import JetStreamPublishing
import PostgresReplication
import PrivateServers

@testable import Pipeline

extension PostgresServer {
    var parameters: ConnectionParameters { ConnectionParameters(conninfo: conninfo()) }

    /// An ordinary session.
    func sql() throws(PostgresError) -> SQLConnection { try SQLConnection(parameters, timeout: .seconds(20)) }
}

extension NatsServer {
    var options: JetStreamConnectionOptions { JetStreamConnectionOptions(urls: [url]) }

    /// A connection with a mailbox of its own, for stream `S`.
    func connect() throws(StreamerError) -> NATSLink { try NATSLink.connected(options, stream: "S") }
}
