import Glibc
import History
package import Logging
package import Operations
import Pipeline
package import Settings

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Hands log lines to the queue that writes them to stderr: logfmt for people, or one JSON object a line.
///
/// No line is longer than ``ShownText/byteLimit`` a field, and no message comes without end: both may be another's doing.
package struct StderrLogHandler: LogHandler {
    private let format: Configuration.LogFormat
    private let queue: LogQueue
    private let throttle: LogThrottle
    package var metadata: Logger.Metadata = [:]
    package var logLevel: Logger.Level

    /// A logger by that configuration; its lines are written by a thread of its own, and what is left out is counted in `registry`.
    package static func makeLogger(_ configuration: Configuration.Log, counting registry: PrometheusRegistry) -> Logger {
        let level: Logger.Level =
            switch configuration.level {
            case .trace: .trace
            case .debug: .debug
            case .info: .info
            case .notice: .notice
            case .warning: .warning
            case .error: .error
            }
        let format = configuration.format
        let queue = LogQueue(descriptor: STDERR_FILENO, registry: registry) { droppedCount in
            line(
                format, .warning, "log lines are missing here: standard error was not read fast enough",
                ["count": .stringConvertible(droppedCount)])
        }
        Output.errorsGo(to: queue)
        let handler = StderrLogHandler(
            format: format, queue: queue, throttle: LogThrottle(registry: registry), logLevel: level)
        var logger = Logger(label: Program.name) { _ in handler }
        logger.logLevel = level
        return logger
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let message = "\(event.message)"
        guard let leftOutCount = throttle.admits(message) else { return }
        var fields = metadata.merging(event.metadata ?? [:]) { $1 }
        if leftOutCount > 0 { fields["left_out"] = .stringConvertible(leftOutCount) }
        queue.append(Self.line(format, event.level, message, fields))
    }

    private static func line(
        _ format: Configuration.LogFormat, _ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata
    ) -> String {
        let message = ShownText.line(message)
        let own: Set = [timeKey, levelKey, format.messageKey]
        let fields = metadata.sorted { $0.key < $1.key }.map { (own.contains($0.key) ? "field_" + $0.key : $0.key, LogField($0.value)) }
        switch format {
        case .text:
            let pairs = [(timeKey, time()), (levelKey, level.rawValue), (format.messageKey, message)] + fields.map { ($0, $1.shown) }
            return pairs.map { "\($0)=\(quoted($1))" }.joined(separator: " ") + "\n"
        case .json:
            var object: [String: LogField] = [
                timeKey: .text(time()), levelKey: .text(level.rawValue), format.messageKey: .text(message),
            ]
            for (key, field) in fields { object[key] = field }
            return json(object) + "\n"
        }
    }

    private static let timeKey = "time"
    private static let levelKey = "level"

    /// RFC 3339, UTC, milliseconds.
    private static func time() -> String {
        Date.now.formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    }

    /// As it stands where that is unambiguous.
    private static func quoted(_ value: String) -> String {
        let isPlain = !value.isEmpty && value.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value < 0x7F && $0 != "\"" && $0 != "=" }
        return isPlain ? value : json(value)
    }

    private static func json(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Texts and finite numbers only: encoding cannot fail.
        return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
    }
}

extension Configuration.LogFormat {
    /// What the message is called: logfmt's readers expect `msg`.
    fileprivate var messageKey: String {
        switch self {
        case .text: "msg"
        case .json: "message"
        }
    }
}
