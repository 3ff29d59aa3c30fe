import ArgumentParser
import Glibc
import Pipeline
import Settings
import WAL

struct TailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Show events as they are stored.",
        discussion: """
            Example:
              slotstream tail --from 1h --entity Order
              slotstream tail --from first --count 10 --json | jq .entity
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(
        help: ArgumentHelp(
            "now, first, a sequence, an LSN (0/16B3748), a time (RFC 3339) or a duration back (1h).", valueName: "place"))
    var from = "now"

    @Option(help: "Only events of this entity.")
    var entity: String?

    @Option(help: "Only events of this operation.")
    var operation: String?

    @Option(help: "End after this many events.")
    var count: Int?

    @Flag(name: .customLong("json"), help: "The event's JSON alone, one a line.")
    var isJSON = false

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--count takes a number from 1 on") }
        if TailStart.parse(from) == nil {
            throw ValidationError(
                "--from takes now, first, a sequence, an LSN, a time or a duration back, not \"\(from)\"; for example --from 1h")
        }
    }

    func run() async throws {
        let configuration = try options.load().values.streamer
        let reader = try EventReader(
            configuration, from: TailStart.parse(from) ?? .now, entity: entity, operation: operation)
        var shownCount = 0
        while shownCount < count ?? .max {
            guard let event = try reader.next(timeout: .seconds(1)) else { continue }
            let body = String(decoding: event.payload, as: UTF8.self)
            Output.data(isJSON ? body : "\(event.sequence) \(event.subject) \(body)")
            shownCount += 1
        }
    }
}

/// Reads `--from`.
enum TailStart {
    static func parse(_ text: String) -> EventReader.Start? {
        switch text {
        case "now": return .now
        case "first": return .first
        default: break
        }
        if let sequence = UInt64(text) { return .sequence(sequence) }
        if let lsn = LSN(text) { return .lsn(lsn) }
        if let time = PointInTime.rfc3339(text) { return .time(time) }
        return nil
    }
}
