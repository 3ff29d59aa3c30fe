import JetStreamPublishing
import PostgresReplication
import Threads

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

    /// Runs what the operating system may refuse; its error becomes `.system`.
    static func ofSystem<Value: ~Copyable>(
        _ body: () throws(SystemError) -> Value
    ) throws(StreamerError) -> Value {
        do throws(SystemError) {
            return try body()
        } catch {
            throw .system(error.message)
        }
    }
}
