import ArgumentParser
import Glibc
import JetStreamPublishing
import Pipeline
import Settings
import WAL

struct TailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Show events as they are stored.",
        usage: "slotstream tail [<options>]",
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

    @Option(help: "Only events of this entity, or of this table.")
    var entity: String?

    @Option(help: "Only events of this operation.")
    var operation: String?

    @Option(help: "End after this many events.")
    var count: Int?

    @Flag(name: .customLong("json"), help: "The event's JSON alone, one event a line.")
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
        let reader = try EventReader(configuration)
        let entity = try entity.map { try Self.meant($0, "entity", try reader.entity($0), stream: configuration.stream.name) }
        let operation = try operation.map {
            try Self.meant($0, "operation", try reader.operation($0), stream: configuration.stream.name)
        }
        try reader.open(from: TailStart.parse(from) ?? .now, entity: entity, operation: operation)
        var shownCount = 0
        while shownCount < count ?? .max {
            guard let event = try reader.next(timeout: .seconds(1)) else { continue }
            Output.data(isJSON ? ShownEvent.json(event) : ShownEvent.text(event))
            shownCount += 1
        }
    }

    /// Names shown of those that are there, at most.
    private static let shownNameLimit = 20

    /// The name to look for: the one that was given, or the one that is written alike.
    private static func meant(_ name: String, _ kind: String, _ found: NameSearch.Found, stream: String) throws -> String {
        switch found {
        case .exactly: return name
        case .alike(let other):
            Output.error("slotstream: the \(kind) is written \(ShownEvent.oneLine(other)): its events are shown\n")
            return other
        case .ambiguous(let names):
            throw InputError(message: "the \(kind) \(ShownEvent.oneLine(name)) can be one of several. Type --\(kind) with one of them: \(list(names))")
        case .absent(let names):
            throw InputError(
                message: "stream \(stream) has no event of the \(kind) \(ShownEvent.oneLine(name)). Type --\(kind) with one of these: \(list(names))")
        }
    }

    private static func list(_ names: [String]) -> String {
        let shown = names.prefix(shownNameLimit).map(ShownEvent.oneLine).joined(separator: ", ")
        return names.count > shownNameLimit ? "\(shown) and \(names.count - shownNameLimit) more" : shown
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
