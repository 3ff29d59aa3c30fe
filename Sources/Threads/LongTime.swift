import Glibc

/// Times so long that a test of what comes after them would only wait: the fault tests may set them.
///
/// Not settings, but part of what is promised, for which each has one test in real time. Whoever can set a process's environment can end it too.
package enum LongTime: String, CaseIterable, Sendable {
    /// Without a turn of one of its loops for so long the streamer is not live.
    case liveness
    /// A transaction that is open for longer holds the slot back.
    case transaction
    /// Between two looks at the stream and its consumers.
    case watch
    /// Between two looks of a streamer that waits after a stop whether somebody has mended the cause.
    case mending
    /// Between two lines in the log about what the streamer is doing.
    case progress

    /// Said of a text that sets no times.
    package struct InvalidText: Error {
        package var text: String
    }

    /// The environment variable that sets them.
    package static let variable = "SLOTSTREAM_LONG_TIMES"

    /// As it is promised, or as the environment has it.
    package var duration: Duration { Self.set[self] ?? promised }

    private var promised: Duration {
        switch self {
        case .liveness: .seconds(30)
        case .transaction: .seconds(300)
        case .watch: .seconds(15)
        case .mending, .progress: .seconds(60)
        }
    }

    private static let set: [LongTime: Duration] = {
        guard let text = unsafe getenv(variable) else { return [:] }
        return (try? parse(unsafe String(cString: text))) ?? [:]
    }()

    /// - Parameter text: `<name>=<milliseconds>`, several with commas between them, such as `liveness=3000,watch=2000`.
    /// - Throws: ``InvalidText``.
    package static func parse(_ text: String) throws(InvalidText) -> [LongTime: Duration] {
        var times: [LongTime: Duration] = [:]
        for setting in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = setting.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, let time = LongTime(rawValue: String(sides[0])), let milliseconds = Int(sides[1]), milliseconds > 0
            else { throw InvalidText(text: text) }
            times[time] = .milliseconds(milliseconds)
        }
        return times
    }
}
