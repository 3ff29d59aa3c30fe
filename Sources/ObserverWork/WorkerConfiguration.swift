package import JetStreamPublishing
package import Observing
import Pipeline
package import PostgresReplication
package import Settings

/// All that an observer worker and the commands beside it need; checked values, no files.
package struct WorkerConfiguration: Sendable {
    package var nats: JetStreamConnectionOptions
    /// The stream of events.
    package var stream: String
    package var subjectPrefix: String
    /// The durable consumer.
    package var consumer: String
    /// What a new consumer is made with. One that exists keeps its own.
    package var ackWait: Duration
    /// -1: no limit.
    package var maxDeliver: Int
    /// Of the streams that are made.
    package var replicas: Int
    /// Actions at the same time, at most.
    package var maxConcurrency: Int
    /// One worker works, and others stand by.
    package var isOrdered: Bool
    /// `tb_observer` is read.
    package var readsDatabase: Bool
    /// Of `tb_observer` and of database actions.
    package var database: ConnectionParameters
    package var allowsPrivateHosts: Bool
    /// Of receivers and mail servers, instead of the system's; nil: the system's.
    package var caFile: String?
    package var shutdownTimeout: Duration
    /// Those of the file.
    package var observers: [ObserverDefinition]
    package var mailServer: MailServerSettings?
    /// The process's variables, for those of `tb_observer`.
    package var environment: [String: String]

    /// Where events go whose actions failed for good.
    package var deadStream: String { "\(stream)_dead" }
    /// What keeps the server's word that a message has used up its deliveries.
    package var advisoryStream: String { "\(stream)_advisories" }
    /// The key of the worker's record in the bucket.
    package var recordKey: String { "\(stream).observer.\(consumer)" }

    /// The subject of the server's word about this consumer, or about any of the stream's.
    ///
    /// FraiseQL's page has `$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.*`, with a token too few: nothing ever comes there.
    package func advisorySubject(consumer: String) -> String {
        "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.\(stream).\(consumer)"
    }

    /// Where an event is acknowledged that the server has given up.
    func acknowledgementSubject(of sequence: UInt64, deliveries: Int) -> String {
        JetStreamConnection.acknowledgementSubject(
            stream: stream, consumer: consumer, deliveryCount: deliveries, streamSequence: sequence, consumerSequence: sequence)
    }
}

extension WorkerConfiguration {
    /// What is wrong with the worker's configuration beyond single keys.
    package static func complaints(
        _ observers: ConfigurationTree?, _ values: Configuration, _ origin: ValueOrigin, environment: [String: String]
    ) -> [Complaint] {
        var complaints: [Complaint] = []
        func complain(_ key: String, _ what: String) { complaints.append(Complaint(origin: origin, key: key, problem: .other(what))) }
        let (read, problems) = file(observers, values, environment: environment)
        for problem in problems { complain(problem.path, problem.what) }
        // A text that lacks its variable has its complaint already.
        for mistake in read.mistakes where !problems.contains(where: { $0.path == mistake.path }) { complain(mistake.path, mistake.what) }
        if values.nats.consumerName == nil {
            complain("transport.nats.consumer_name", "the worker needs the name of a durable consumer; set the name")
        }
        if read.definitions.isEmpty, read.mistakes.isEmpty, problems.isEmpty, !values.observerWorker.database {
            complain("observers", "there is no observer; write an [observers.NAME] table, or set observer_worker.database = true")
        }
        return complaints
    }

    /// FraiseQL's first example has an empty table `on_failure`, which its parser passes over.
    private static func withoutEmptyFailure(_ tree: ConfigurationTree) -> ConfigurationTree {
        switch tree {
        case .table(var members):
            if members["on_failure"] == .table([:]) { members["on_failure"] = nil }
            return .table(members)
        case .list(let observers): return .list(observers.map(withoutEmptyFailure))
        case .text, .integer, .number, .boolean, .unsupported: return tree
        }
    }

    private static func file(
        _ observers: ConfigurationTree?, _ values: Configuration, environment: [String: String]
    ) -> (read: ObserverFile, problems: [(path: String, what: String)]) {
        var problems: [(path: String, what: String)] = []
        var tree = observers?.expanded(environment, at: ConfigurationTree.observersPath, &problems)
        tree = tree.map(withoutEmptyFailure)
        return (
            ObserverFile.read(tree.map(ObserverValue.init) ?? .table([:]), environment: environment, livePrefix: values.nats.subjectPrefix), problems
        )
    }

    /// Reads what the configuration says of the worker and of observers.
    ///
    /// - Parameter requiresObservers: false: for what looks at the servers only, and needs no variable of an action.
    /// - Returns: The configuration, and what is worth knowing about it, a sentence each.
    /// - Throws: Everything that is wrong, at once.
    package static func read(
        _ effective: EffectiveConfiguration, environment: [String: String], requiresObservers: Bool = true
    ) throws(SettingsError) -> (configuration: WorkerConfiguration, notes: [String]) {
        let values = effective.values
        let origin = effective.file.map { ValueOrigin.file($0, line: nil) } ?? .defaultValue
        let all = complaints(effective.observers, values, origin, environment: environment)
        let complaints = requiresObservers ? all : all.filter { $0.key == "transport.nats.consumer_name" }
        guard complaints.isEmpty else { throw SettingsError(complaints, log: values.log) }
        let read = file(effective.observers, values, environment: environment).read
        let streamer = values.streamer
        let worker = values.observerWorker
        return (
            WorkerConfiguration(
                nats: streamer.nats, stream: values.nats.streamName, subjectPrefix: values.nats.subjectPrefix,
                consumer: values.nats.consumerName ?? "", ackWait: values.jetStream.ackWait, maxDeliver: values.jetStream.maxDeliver,
                replicas: values.jetStream.replicas, maxConcurrency: worker.maxConcurrency, isOrdered: worker.ordered,
                readsDatabase: worker.database, database: values.observerDatabase, allowsPrivateHosts: worker.allowPrivateHosts, caFile: worker.caFile,
                shutdownTimeout: worker.shutdownTimeout, observers: read.definitions, mailServer: read.mailServer, environment: environment),
            read.notes
        )
    }
}

extension ObserverValue {
    /// What the file has.
    fileprivate init(_ tree: ConfigurationTree) {
        switch tree {
        case .text(let text): self = .text(text)
        case .integer(let integer): self = .integer(integer)
        case .number(let number): self = .number(number)
        case .boolean(let boolean): self = .boolean(boolean)
        case .list(let values): self = .list(values.map { ObserverValue($0) })
        case .table(let members): self = .table(members.mapValues { ObserverValue($0) })
        case .unsupported(let what): self = .unsupported(what)
        }
    }
}
