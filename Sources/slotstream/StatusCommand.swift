import ArgumentParser
import Dispatch
import Glibc
import History
import Operations
import Pipeline
import Settings

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show slot, lag, position and stream.",
        usage: "slotstream status [<options>]",
        discussion: """
            Reads both servers itself and adds what the streamer at http.listen says, if one answers. Takes 5 s at most. Exits with 0 \
            when all is well, 1 when there is something to do (nobody streams, the slot is missing or lost), 69 when a server does not answer.

            Example:
              slotstream status --json | jq .source.lag_bytes
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.status/1).")
    var isJSON = false

    @Flag(name: .customLong("watch"), help: "Again every two seconds, until interrupted.")
    var isWatching = false

    func run() async throws {
        let values = try options.load().values
        while true {
            let (status, failure) = await read(values)
            if isWatching, !isJSON, isatty(STDOUT_FILENO) == 1 { Output.data("\u{1B}[H\u{1B}[2J", terminator: "") }
            Output.data(isJSON ? status.json() : StatusScreen.text(status))
            if !isWatching {
                if let failure { throw failure }
                if !status.isHealthy { throw ExitCode(ExitStatus.findings.rawValue) }
                return
            }
            try await Task.sleep(for: .seconds(2))
        }
    }

    private func read(_ values: Configuration) async -> (StreamerStatus, StreamerError?) {
        let streamer = values.streamer
        // At the same time: each may be one that does not answer.
        async let asked = Self.ask(ConfigurationOptions.endpoint(of: values))
        let (servers, failure) = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: StatusReader.read(streamer)) }
        }
        guard let answer = await asked, let running = try? StreamerStatus(json: answer.body),
            // Another streamer may listen there.
            running.source.slot == servers.source.slot, running.stream.name == servers.stream.name
        else { return (servers, failure) }
        return (servers.adding(running), failure)
    }

    private static func ask(_ listen: (host: String, port: Int)?) async -> HealthProbe.Answer? {
        guard let listen else { return nil }
        return try? await HealthProbe.get(.status, from: listen)
    }
}

/// The status as a person reads it.
enum StatusScreen {
    static func text(_ status: StreamerStatus) -> String {
        var lines: [(String, String)] = []
        lines.append(("role", status.role.rawValue + (status.ready ? ", ready" : "") + (status.live ? "" : ", not live")))
        for reason in status.reasons { lines.append(("", reason)) }
        let source = status.source
        let database = [source.database, source.systemId.map { "system \($0)" }, source.timeline.map { "timeline \($0)" }]
        lines.append(("source", database.compactMap { $0 }.joined(separator: ", ")))
        lines.append(("slot", [source.slot, source.plugin, source.walStatus].compactMap { $0 }.joined(separator: ", ")))
        lines.append(("received", source.receivedLsn ?? "-"))
        lines.append(("stored", source.storedLsn ?? "-"))
        lines.append(("confirmed", source.confirmedLsn ?? "-"))
        lines.append(("lag", "\(source.lagBytes.map { "\($0) bytes" } ?? "-")\(source.lagSeconds.map { ", \($0) s" } ?? "")"))
        lines.append(("retained", source.retainedBytes.map { "\($0) bytes of WAL" } ?? "-"))
        if let count = source.publishedTables {
            let names = (source.tablesWithoutIdentity ?? []).map { " · \($0): no usable replica identity (UPDATE fails in the application)" }
            lines.append(("tables", "\(count) published" + names.prefix(3).joined() + (names.count > 3 ? " · and \(names.count - 3) more" : "")))
        }
        let stream = status.stream
        lines.append(("stream", "\(stream.name), \(stream.messages.map(String.init) ?? "-") messages, \(stream.bytes.map(String.init) ?? "-") bytes"))
        lines.append(("sequences", "\(stream.firstSequence.map(String.init) ?? "-") to \(stream.lastSequence.map(String.init) ?? "-")"))
        if let inFlight = status.inFlight { lines.append(("in flight", "\(inFlight.messages) messages, \(inFlight.bytes) bytes retained")) }
        if let counters = status.counters {
            lines.append(("counted", "\(counters.transactions) transactions, \(counters.events) events, \(counters.resynchronisations) resynchronisations, \(counters.reconnects) reconnects"))
        }
        if let error = status.lastError { lines.append(("last error", "\(error.at) \(error.reason): \(error.message)")) }
        return lines.map { $0.0.padded(to: 12) + $0.1 }.joined(separator: "\n")
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(1, width - count))
    }
}
