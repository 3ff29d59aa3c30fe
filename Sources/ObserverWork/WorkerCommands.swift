package import History
import JetStreamPublishing
package import Observing
import Pipeline
import PostgresReplication
import WAL

/// What the commands beside a worker do, each over a connection of its own.
package enum WorkerCommands {
    /// Connects, waiting for it; whoever asks closes the connection.
    package static func connected(_ configuration: WorkerConfiguration) throws(StreamerError) -> DeadLetterBox {
        DeadLetterBox(configuration, over: try WorkerLink.connected(configuration).connection)
    }

    /// Makes what is missing.
    package static func setup(_ configuration: WorkerConfiguration, start: WorkerSetup.Start?) throws(StreamerError) -> WorkerSetup.Outcome {
        let box = try connected(configuration)
        defer { box.connection.close() }
        return try WorkerSetup.perform(configuration, start: start ?? .none, over: box.connection)
    }

    /// How the consumer and the dead letters are, by the server's own word.
    ///
    /// - Returns: What is known, and why it is not all; nil: it is all.
    package static func status(_ configuration: WorkerConfiguration) -> (status: ObserverStatus, failure: StreamerError?) {
        var status = ObserverStatus(role: .stopped, live: false, ready: false, configuration)
        status.observers = configuration.observers.map { observer in
            ObserverStatus.Observer(name: observer.name, origin: observer.origin.rawValue, actions: observer.actions.map(\.typeName))
        }
        do throws(StreamerError) {
            let box = try connected(configuration)
            defer { box.connection.close() }
            try StreamerError.ofJetStream { () throws(JetStreamError) in
                if let consumer = try connectionInfo(configuration, box.connection) {
                    status.consumer.pending = consumer.pendingCount
                    status.consumer.ackPending = consumer.ackPendingCount
                    status.consumer.ackFloor = consumer.ackFloorSequence
                    let differences = WorkerSetup.differences(consumer, configuration)
                    status.consumer.differences = differences.isEmpty ? nil : differences
                } else {
                    status.reasons.append(
                        "the consumer \(configuration.consumer) is not there: start a worker, or type slotstream-observer setup")
                }
                status.deadLetters.messages = try box.count()
                guard let record = try WorkerRecord.read(configuration, over: box.connection).record, !record.holder.isEmpty else { return }
                if let age = try WorkerRecord.age(configuration, over: box.connection), age > .seconds(2 * record.leaseSeconds) + clockDoubt {
                    status.reasons.append(
                        "nobody works: the worker \(record.place) was the last, and has not renewed its lease for \(Int(age / .seconds(1))) s")
                } else {
                    status.holder = record.place
                }
            }
            return (status, nil)
        } catch {
            return (status, error)
        }
    }

    /// The server's clock may be so far from this machine's.
    private static let clockDoubt = Duration.seconds(5)

    private static func connectionInfo(
        _ configuration: WorkerConfiguration, _ connection: JetStreamConnection
    ) throws(JetStreamError) -> ConsumerInfo? {
        do throws(JetStreamError) {
            return try connection.consumerInfo(configuration.stream, configuration.consumer)
        } catch {
            if error.errCode == JetStreamErrorCode.streamNotFound { return nil }
            throw error
        }
    }

    /// The observers of file and table, as a worker would have them now.
    package static func observers(
        _ configuration: WorkerConfiguration
    ) throws(StreamerError) -> (definitions: [ObserverDefinition], mistakes: [ObserverMistake], notes: [String]) {
        guard configuration.readsDatabase else { return (configuration.observers, [], []) }
        let rows = try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(configuration.database, isReadOnly: true).query(DatabaseObservers.query)
        }
        let read = DatabaseObservers.definitions(rows, configuration)
        let names = Set(configuration.observers.map(\.name))
        return (configuration.observers + read.definitions.filter { !names.contains($0.name) }, read.mistakes, read.notes)
    }
}
