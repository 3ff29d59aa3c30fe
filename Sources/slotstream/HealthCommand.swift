import ArgumentParser
import Console
import History
import Operations
import Pipeline
import Settings

struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health", abstract: "Ask the running streamer for its health.",
        usage: "slotstream health [<options>]",
        discussion: """
            `health` asks /livez of the streamer at http.listen, or /readyz with --ready. The exit code is 0 or 1.

            Example:
              slotstream health --ready || echo "not ready"
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .customLong("ready"), help: "Ask /readyz.")
    var asksReadiness = false

    func run() async throws {
        guard let listen = ConfigurationOptions.endpoint(of: try options.load().values) else {
            Output.error("slotstream: http.listen is off: no streamer can be asked. Set http.listen\n")
            throw ExitCode(ExitStatus.findings.rawValue)
        }
        let answer = try await HealthProbe.get(asksReadiness ? .ready : .live, from: listen)
        Output.data(String(decoding: answer.body, as: UTF8.self))
        if !answer.isPositive { throw ExitCode(ExitStatus.findings.rawValue) }
    }
}
