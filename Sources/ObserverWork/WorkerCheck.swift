package import History
import JetStreamPublishing
import Observing

/// What can be found out about a worker before it works: nothing is changed.
package enum WorkerCheck {
    /// One thing that was found.
    package struct Finding: Encodable, Sendable, Equatable {
        package enum Severity: String, Encodable, Sendable {
            case error, warning, note
        }

        package var severity: Severity
        /// What it is about: a stream, a consumer, an observer, a file.
        package var object: String
        package var message: String
        /// What to type or to set; nil: nothing.
        package var fix: String?

        package init(_ severity: Severity, _ object: String, _ message: String, fix: String?) {
            self.severity = severity
            self.object = object
            self.message = message
            self.fix = fix
        }
    }

    /// Beyond so many a person should look.
    private static let fullness = 0.8

    /// - Throws: What keeps a server from answering.
    package static func findings(_ configuration: WorkerConfiguration) throws(StreamerError) -> [Finding] {
        var findings: [Finding] = []
        let box = try WorkerCommands.connected(configuration)
        defer { box.connection.close() }
        try StreamerError.ofJetStream { () throws(JetStreamError) in
            try look(at: box.connection, configuration, &findings)
        }
        let read: (definitions: [ObserverDefinition], mistakes: [ObserverMistake], notes: [String])
        do throws(StreamerError) { read = try WorkerCommands.observers(configuration) } catch {
            findings.append(
                Finding(.error, "tb_observer", "the table cannot be read: \(error)", fix: "correct observer_worker.database_url, or grant SELECT ON tb_observer"))
            return findings
        }
        findings += read.mistakes.map { Finding(.warning, $0.path, "\($0.what). The worker leaves this observer out", fix: nil) }
        findings += read.notes.map { Finding(.note, "tb_observer", $0, fix: nil) }
        if read.definitions.isEmpty {
            findings.append(Finding(.warning, "observers", "there is no observer: the worker acknowledges every event and does nothing", fix: nil))
        }
        findings += read.definitions.filter { !$0.isEnabled }.map { Finding(.note, $0.name, "the observer is switched off", fix: nil) }
        return findings
    }

    private static func look(
        at connection: JetStreamConnection, _ configuration: WorkerConfiguration, _ findings: inout [Finding]
    ) throws(JetStreamError) {
        guard let stream = try connection.streamInfo(configuration.stream) else {
            findings.append(
                Finding(.error, configuration.stream, "the stream is not there", fix: "start the streamer, or type: slotstream setup"))
            return
        }
        if let consumer = try connection.consumerInfo(configuration.stream, configuration.consumer) {
            if consumer.deliverSubject != nil || consumer.ackPolicy != "explicit" {
                findings.append(
                    Finding(
                        .error, configuration.consumer, "a worker needs a pull consumer with explicit acks",
                        fix: "set transport.nats.consumer_name to another name"))
            }
            for difference in WorkerSetup.differences(consumer, configuration) {
                findings.append(
                    Finding(
                        .warning, configuration.consumer, difference,
                        fix: "correct the file, or change the consumer: nats consumer edit \(configuration.stream) \(configuration.consumer)"))
            }
        } else {
            if let record = try WorkerRecord.read(configuration, over: connection).record {
                let isSameStream = record.streamCreated == stream.created
                findings.append(
                    Finding(
                        .error, configuration.consumer, "the consumer was deleted",
                        fix: WorkerSetup.remedyForLostConsumer(acknowledged: isSameStream ? record.ackFloor : nil)))
            } else {
                findings.append(Finding(.note, configuration.consumer, "the consumer is not made yet", fix: "slotstream-observer setup"))
            }
        }
        for name in [configuration.deadStream, configuration.advisoryStream] {
            guard let info = try connection.streamInfo(name) else {
                findings.append(Finding(.note, name, "the stream is not made yet", fix: "slotstream-observer setup"))
                continue
            }
            if name == configuration.deadStream, info.state.messages > 0 {
                findings.append(
                    Finding(.warning, name, "there are \(info.state.messages) dead letters", fix: "slotstream-observer dead list"))
            }
            if info.config.maxBytes > 0, Double(info.state.bytes) > Double(info.config.maxBytes) * fullness {
                findings.append(
                    Finding(
                        .warning, name, "the stream is \(Int(Double(info.state.bytes) / Double(info.config.maxBytes) * 100)) % full",
                        fix: name == configuration.deadStream ? "slotstream-observer dead drop --all" : nil))
            }
        }
    }
}
