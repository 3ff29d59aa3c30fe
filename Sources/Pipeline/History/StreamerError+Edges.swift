import JetStreamPublishing
import PostgresReplication

extension StreamerError {
    /// Runs what PostgreSQL's edge may refuse; its error becomes `.postgres`.
    static func ofPostgres<Value: ~Copyable>(
        _ body: () throws(PostgresError) -> Value
    ) throws(StreamerError) -> Value {
        do throws(PostgresError) {
            return try body()
        } catch {
            throw .postgres(error)
        }
    }

    /// Runs what NATS's edge may refuse; its error becomes `.jetStream`.
    static func ofJetStream<Value: ~Copyable>(
        _ body: () throws(JetStreamError) -> Value
    ) throws(StreamerError) -> Value {
        do throws(JetStreamError) {
            return try body()
        } catch {
            throw .jetStream(error)
        }
    }
}
