import ArgumentParser
import Console
import Dispatch
import Glibc
import History
import Operations
import Pipeline
import Settings
import Threads
import WAL

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show slot, lag, position and stream, what is wrong and what to type.",
        usage: "slotstream status [<options>]",
        discussion: """
            Reads both servers itself and adds what the streamer at http.listen says, if one answers. Takes 5 s at most. Exits with 0 \
            when all is well, 1 when there is something to do (nobody streams, the slot is missing or lost), 69 when a server does not answer.

            Example:
              slotstream status
              slotstream status --watch
              slotstream status --json | jq .source.lag_bytes
            """)

    /// Between two readings of `--watch`.
    private static let interval = Duration.seconds(2)

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.status/1).")
    var isJSON = false

    @Flag(name: .customLong("watch"), help: "Again every two seconds, with rates, until Ctrl-C.")
    var isWatching = false

    func run() async throws {
        let values = try options.load().values
        guard isWatching else {
            let (status, failure) = await read(values)
            show(status, isUnreachable: failure != nil)
            if let failure { throw failure }
            if !status.isHealthy { throw ExitCode(ExitStatus.findings.rawValue) }
            return
        }
        // That is how one stops looking: no error.
        signal(SIGINT) { _ in _exit(ExitStatus.done.rawValue) }
        var before: (status: StreamerStatus, at: Instant)?
        while true {
            var (status, failure) = await read(values)
            let now = Instant.now
            if let before { status.rates = status.rates(since: before.status, seconds: now.duration(since: before.at).seconds) ?? status.rates }
            show(status, isUnreachable: failure != nil, isAgain: before != nil)
            before = (status, now)
            try await Task.sleep(for: Self.interval)
        }
    }

    private func show(_ status: StreamerStatus, isUnreachable: Bool, isAgain: Bool = false) {
        guard !isJSON else { return Output.data(status.json()) }
        let screen = Screen.ofOutput()
        let text = StatusScreen.text(status, isUnreachable: isUnreachable, on: screen, at: .now)
        if isWatching, screen.columns != nil {
            // Line by line over what stood there: it does not flicker.
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { "\($0)\u{1B}[K\n" }.joined()
            Output.data((isAgain ? "\u{1B}[H" : "\u{1B}[H\u{1B}[2J") + lines + "\u{1B}[J", terminator: "")
        } else {
            Output.data(isAgain ? "\n" + text : text)
        }
    }

    private func read(_ values: Configuration) async -> (StreamerStatus, StreamerError?) {
        let streamer = values.streamer
        // At the same time: each may be one that does not answer.
        async let asked = Self.ask(ConfigurationOptions.endpoint(of: values))
        let servers = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: StatusReader.read(streamer)) }
        }
        let running = await asked.flatMap { try? StreamerStatus(json: $0.body) }
        return (servers.concluded(with: running, at: .now), servers.failures.first)
    }

    private static func ask(_ listen: (host: String, port: Int)?) async -> HealthProbe.Answer? {
        guard let listen else { return nil }
        return try? await HealthProbe.get(.status, from: listen)
    }
}
