import ArgumentParser
import Operations
import Pipeline
import Settings

struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health", abstract: "Ask the running streamer whether it lives.",
        discussion: """
            Exits 0 or 1 by /livez, or /readyz with --ready, of the streamer at http.listen.

            Example:
              slotstream health --ready || echo "not ready"
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .customLong("ready"), help: "Ask /readyz.")
    var asksReadiness = false

    func run() async throws {
        guard let listen = ConfigurationOptions.endpoint(of: try options.load().values) else {
            Output.error("slotstream: http.listen is off: there is nobody to ask\n")
            throw ExitCode(ExitStatus.findings.rawValue)
        }
        let answer = try await HealthProbe.get(asksReadiness ? .ready : .live, from: listen)
        Output.data(String(decoding: answer.body, as: UTF8.self))
        if !answer.isPositive { throw ExitCode(ExitStatus.findings.rawValue) }
    }
}
