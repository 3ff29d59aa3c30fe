import ArgumentParser
import Pipeline
import WAL

/// A range of the past: from and to, each by LSN, time or sequence, both ends inclusive.
struct RangeOptions: ParsableArguments {
    @Option(name: .customLong("from-lsn"), help: ArgumentHelp("Begin at the transaction that commits at this LSN.", valueName: "lsn"))
    var fromLSN: String?

    @Option(
        name: .customLong("from-time"),
        help: ArgumentHelp("Begin at what was committed at this time (RFC 3339), or so long ago (1h).", valueName: "time"))
    var fromTime: String?

    @Option(
        name: .customLong("from-sequence"),
        help: ArgumentHelp("Begin at the event with this sequence in the live stream.", valueName: "sequence"))
    var fromSequence: UInt64?

    @Option(name: .customLong("to-lsn"), help: ArgumentHelp("End with the transaction that commits at this LSN.", valueName: "lsn"))
    var toLSN: String?

    @Option(
        name: .customLong("to-time"),
        help: ArgumentHelp("End with what was committed at this time (RFC 3339), or so long ago (10m).", valueName: "time"))
    var toTime: String?

    @Option(
        name: .customLong("to-sequence"),
        help: ArgumentHelp("End with the event with this sequence in the live stream.", valueName: "sequence"))
    var toSequence: UInt64?

    func validate() throws {
        for (name, values) in [
            ("from", [fromLSN, fromTime, fromSequence.map(String.init)]), ("to", [toLSN, toTime, toSequence.map(String.init)]),
        ] where values.compactMap({ $0 }).count > 1 {
            throw ValidationError("Give one of --\(name)-lsn, --\(name)-time and --\(name)-sequence")
        }
        for (name, text) in [("from", fromLSN), ("to", toLSN)] {
            if let text, LSN(text) == nil { throw ValidationError("--\(name)-lsn takes an LSN such as 0/16B3748, not \"\(text)\"") }
        }
        for (name, text) in [("from", fromTime), ("to", toTime)] {
            if let text, Self.time(text) == nil {
                throw ValidationError("--\(name)-time takes a time (2026-11-23T07:09:12Z) or a duration back (1h), not \"\(text)\"")
            }
        }
        if isBackwards { throw ValidationError("The end of the range is before the beginning") }
    }

    /// The range.
    var range: EventRange {
        EventRange(
            from: Self.bound(fromLSN, fromTime, fromSequence), to: Self.bound(toLSN, toTime, toSequence))
    }

    private var isBackwards: Bool {
        switch (range.from, range.to) {
        case (.lsn(let from)?, .lsn(let to)?): from > to
        case (.sequence(let from)?, .sequence(let to)?): from > to
        case (.time(let from)?, .time(let to)?): from.unixMicroseconds > to.unixMicroseconds
        default: false
        }
    }

    private static func bound(_ lsn: String?, _ time: String?, _ sequence: UInt64?) -> EventRange.Bound? {
        if let lsn = lsn.flatMap({ LSN($0) }) { return .lsn(lsn) }
        if let time = time.flatMap({ Self.time($0) }) { return .time(time) }
        return sequence.map { .sequence($0) }
    }

    private static func time(_ text: String) -> PostgresTimestamp? {
        PointInTime.timestamp(text)
    }
}
