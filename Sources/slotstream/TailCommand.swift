import ArgumentParser
import Capture
import Console
import Glibc
import History
import JetStreamPublishing
import Pipeline
import Settings
import Threads
import WAL

struct TailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Show events as they are stored.",
        usage: "slotstream tail [<options>]",
        discussion: """
            A line has the time of the commit (UTC), the sequence, entity and operation, the id, as many columns as fit, and the place \
            in the transaction. With --json, a line is the whole event.

            Example:
              slotstream tail --from 1h --entity Order
              slotstream tail --from first --count 10 --json | jq .entity
              slotstream tail --from 2h --until 1h --no-follow
            """)

    @OptionGroup var options: ConfigurationOptions

    @Option(
        help: ArgumentHelp(
            "now, first, a sequence, an LSN (0/16B3748), a time (RFC 3339) or a duration back (1h).", valueName: "place"))
    var from = "now"

    @Option(
        help: ArgumentHelp(
            "End behind this place: a sequence, an LSN, a time or a duration back. The place is included.", valueName: "place"))
    var until: String?

    @Flag(name: .customLong("no-follow"), help: "End at the last event that is stored now.")
    var isAtOnce = false

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
        if let until, TailEnd.parse(until) == nil {
            throw ValidationError(
                "--until takes a sequence, an LSN, a time or a duration back, not \"\(until)\"; for example --until 10m")
        }
    }

    func run() async throws {
        let configuration = try options.load().values.streamer
        let reader = try EventReader(configuration)
        let entity = try entity.map { try Self.meant($0, "entity", try reader.entity($0), stream: configuration.stream.name) }
        let operation = try operation.map {
            try Self.meant($0, "operation", try reader.operation($0), stream: configuration.stream.name)
        }
        try reader.open(
            from: TailStart.parse(from) ?? .now, entity: entity, operation: operation, until: until.flatMap(TailEnd.parse),
            isFollowing: !isAtOnce)
        var shownCount = 0
        var isWaitingTold = isJSON
        while shownCount < count ?? .max {
            switch try reader.next(timeout: .seconds(1)) {
            case .event(let event):
                Output.data(isJSON ? ShownEvent.json(event) : EventLine.text(event, on: .ofOutput(), today: .now))
                shownCount += 1
            case .nothing:
                if !isWaitingTold { Output.error(Self.waiting(try reader.streamEnd())) }
                isWaitingTold = true
            case .over: return
            }
        }
    }

    /// Says that nothing is wrong where nothing comes.
    private static func waiting(_ end: (sequence: UInt64, storedAt: PostgresTimestamp?)) -> String {
        guard let storedAt = end.storedAt else { return "waiting for events (the stream has none yet) …\n" }
        let age = Double(PostgresTimestamp.now.unixMicroseconds - storedAt.unixMicroseconds) / 1e6
        return "waiting for events (stream at #\(end.sequence), last \(Amount.time(max(0, age))) ago) …\n"
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
            let near = NearestName.nearest(to: name, among: names).map { " Did you mean \(ShownEvent.oneLine($0))?" } ?? ""
            throw InputError(
                message:
                    "stream \(stream) has no event of the \(kind) \(ShownEvent.oneLine(name)).\(near) Type --\(kind) with one of these: \(list(names))")
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

/// Reads `--until`.
enum TailEnd {
    static func parse(_ text: String) -> EventReader.End? {
        if let sequence = UInt64(text) { return .sequence(sequence) }
        if let lsn = LSN(text) { return .lsn(lsn) }
        return PointInTime.timestamp(text).map { .time($0) }
    }
}
