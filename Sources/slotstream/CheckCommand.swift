import ArgumentParser
import Console
import Dispatch
import History
import Pipeline
import Settings

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Find what is wrong, each fault with its fix.",
        usage: "slotstream check [<options>]",
        discussion: """
            Reads both servers, the stream and its consumers, the role's rights, each table and this machine, and changes nothing. Each \
            finding has an id, a reason, and a fix to paste. Exits with 0 when there is nothing to mend, 1 with errors \
            (with --strict also with warnings), 69 when a server does not answer.

            Example:
              slotstream check
              slotstream check --before-start
              slotstream check --fix-sql | psql shop
              slotstream check --json | jq .findings
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.check/1).")
    var isJSON = false

    @Flag(name: .customLong("strict"), help: "Warnings count: exit 1 with them too.")
    var isStrict = false

    @Flag(name: .customLong("fix-sql"), help: "Only the SQL statements that mend something, for psql.")
    var printsSQL = false

    @Flag(name: .customLong("before-start"), help: "Before a first start: `slotstream setup` has not run yet.")
    var isBeforeStart = false

    func validate() throws {
        if isJSON && printsSQL { throw ValidationError("--json and --fix-sql exclude each other") }
    }

    func run() async throws {
        let report = try await report()
        if isJSON {
            Output.data(report.json())
        } else if printsSQL {
            let script = report.script()
            if !script.isEmpty { Output.data(script) }
        } else {
            Output.data(CheckScreen.text(report))
        }
        for (failure, remedy) in zip(report.failures, report.remedies) {
            let steps = Steps.lines(of: remedy).map { "  \($0)\n" }.joined()
            Output.error("slotstream: \(ShownText.line(failure)) [\(StopReason.unreachable.rawValue)]\n\(steps)")
        }
        let status = report.status(isStrict: isStrict)
        if status != .done { throw ExitCode(status.rawValue) }
    }

    private func report() async throws -> CheckReport {
        let effective: EffectiveConfiguration
        do {
            effective = try options.load()
        } catch let error as SettingsError {
            return CheckReport(error.complaints.map { .configurationWrong([$0.description]) })
        }
        let values = effective.values
        var process = CheckedProcess.read(environment: ConfigurationOptions.environment)
        process.openSecrets = effective.openSecrets.map { ($0.file, $0.key) }
        process.listen = ConfigurationOptions.endpoint(of: values)
        process.inFlightBytes = values.delivery.inFlightBytes
        let checkOptions = Check.Options(isBeforeStart: isBeforeStart)
        let (streamer, told) = (values.streamer, process)
        return try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(with: Result { try Check.run(streamer, process: told, options: checkOptions) })
            }
        }
    }
}
