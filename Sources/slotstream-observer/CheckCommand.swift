import ArgumentParser
import Console
import History
import ObserverWork
import Settings

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Find what would keep a worker from its work.",
        usage: "slotstream-observer check [<options>]",
        discussion: """
            Reads the file, the consumer, the stream of dead letters and, with observer_worker.database, tb_observer. Changes nothing. A \
            line is an error, a warning or a note, with what to do. Exits with 0 when there is no error and no warning, else with 1; with 69 when a server does not answer, with 78 when the file is wrong.

            Example:
              slotstream-observer check
              slotstream-observer check --json | jq .findings
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.observer_check/1).")
    var isJSON = false

    func run() throws {
        let effective = try options.loadWithObservers()
        let (worker, notes) = try WorkerConfiguration.read(effective, environment: ConfigurationOptions.environment)
        var findings = try WorkerCheck.findings(worker)
        findings += notes.map { WorkerCheck.Finding(.note, "observers", $0, fix: nil) }
        findings += effective.openSecrets.map {
            WorkerCheck.Finding(
                .warning, $0.file, "every user of this machine can read the secret of \($0.key)", fix: "chmod go= \($0.file)")
        }
        if isJSON {
            Output.data(ContractJSON.text(Listing(findings: findings)))
        } else {
            let screen = Screen.ofOutput()
            for finding in findings {
                let mark: Screen.Mark =
                    switch finding.severity {
                    case .error: .bad
                    case .warning: .warning
                    case .note: .faint
                    }
                Output.data(screen.wrapped("\(screen.marked(finding.severity.rawValue, mark))  \(finding.object): \(finding.message)", indent: 2))
                if let fix = finding.fix { Output.data(screen.wrapped("  → \(fix)", indent: 4)) }
            }
            if findings.isEmpty { Output.data("nothing to do: \(worker.observers.count) observers of the file, consumer \(worker.consumer)") }
        }
        if findings.contains(where: { $0.severity != .note }) { throw ExitCode(ExitStatus.findings.rawValue) }
    }

    private struct Listing: Encodable {
        let schema = "slotstream.observer_check/1"
        var findings: [WorkerCheck.Finding]
    }
}
