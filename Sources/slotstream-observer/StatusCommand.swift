import ArgumentParser
import Console
import History
import ObserverWork
import Operations
import Settings

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show who works, how far the consumer is, and what is wrong.",
        usage: "slotstream-observer status [<options>]",
        discussion: """
            Asks nats-server, and adds what the worker at observer_worker.listen says, if one answers. Exits with 0 when all is well, with \
            1 when there is something to do (nobody works, there are dead letters), with 69 when nats-server does not answer.

            Example:
              slotstream-observer status
              slotstream-observer status --json | jq .consumer.pending
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.observer_status/1).")
    var isJSON = false

    func run() async throws {
        let values = try options.load()
        let worker = try WorkerConfiguration.read(
            values, environment: ConfigurationOptions.environment, requiresObservers: false
        ).configuration
        var (status, failure) = WorkerCommands.status(worker)
        if let listen = values.values.observerWorker.listen,
            let answer = try? await HealthProbe.get(.status, from: (listen.host, listen.port)), let running = ObserverStatus(json: answer.body)
        {
            status.merge(running)
        } else if status.holder == nil {
            status.reasons.append("no worker answers at \(values.values.observerWorker.listen.map { "\($0)" } ?? "observer_worker.listen, which is off")")
            status.next = (status.next ?? []) + ["slotstream-observer run"]
        }
        Output.data(isJSON ? status.json() : Self.text(status, on: .ofOutput()))
        if let failure { throw failure }
        if !status.isHealthy { throw ExitCode(ExitStatus.findings.rawValue) }
    }

    private static func text(_ status: ObserverStatus, on screen: Screen) -> String {
        let heading: String =
            switch status.role {
            case .active where status.ready: screen.marked("● WORKING", .good)
            case .active: screen.marked("● WAITING", .warning)
            case .standby: screen.marked("● STANDING BY", .good)
            case .stopped: status.holder == nil ? screen.marked("○ NOT RUNNING HERE", .warning) : screen.marked("○ ANOTHER WORKER WORKS", .good)
            }
        var rows: [(String, String)] = [
            ("consumer", "\(status.consumer.name) of stream \(status.consumer.stream)"),
            (
                "pending",
                "\(number(status.consumer.pending)) to be delivered, \(number(status.consumer.ackPending)) under way, all acknowledged up to #\(number(status.consumer.ackFloor))"
            ),
            ("dead", status.deadLetters.messages.map { "\($0) dead letters in stream \(status.deadLetters.stream)" } ?? "not known"),
        ]
        if let ordering = status.ordering {
            let how: String =
                switch ordering {
                case .lease: "one worker works (lease)"
                case .pinned: "one worker works (pinned client)"
                case .none: "all workers work"
                }
            rows.append(("order", how))
        }
        if let holder = status.holder { rows.append(("worker", holder)) }
        if let count = status.inFlight { rows.append(("held", "\(count) events")) }
        for observer in status.observers { rows.append(("observer", "\(observer.name) (\(observer.origin)): \(observer.actions.joined(separator: ", "))")) }
        for host in status.breakers { rows.append(("paused", "nothing is sent to \(host): the host only fails")) }
        for difference in status.consumer.differences ?? [] { rows.append(("differs", difference)) }
        for reason in status.reasons { rows.append(("reason", reason)) }
        if let error = status.lastError { rows.append(("last error", "\(error.at)  \(error.message)")) }
        if let messages = status.deadLetters.messages, messages > 0 { rows.append(("next", "slotstream-observer dead list")) }
        for next in status.next ?? [] { rows.append(("next", next)) }
        let lines = rows.map { screen.wrapped("  \(Screen.padded($0.0, to: 11))\($0.1)", indent: 13) }
        return ([heading] + lines).joined(separator: "\n")
    }

    private static func number(_ value: UInt64?) -> String { value.map { "\($0)" } ?? "?" }
}
