import Glibc
import Logging
import Settings

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Writes log lines to stderr: text for people, or one JSON object a line.
struct StderrLogHandler: LogHandler {
    private let format: Configuration.LogFormat
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level

    init(format: Configuration.LogFormat, level: Logger.Level) {
        self.format = format
        logLevel = level
    }

    static func makeLogger(_ configuration: Configuration.Log) -> Logger {
        let level: Logger.Level =
            switch configuration.level {
            case .trace: .trace
            case .debug: .debug
            case .info: .info
            case .notice: .notice
            case .warning: .warning
            case .error: .error
            }
        var logger = Logger(label: "slotstream") { _ in StderrLogHandler(format: configuration.format, level: level) }
        logger.logLevel = level
        return logger
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let fields = all.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        let line: String
        switch format {
        case .text:
            let tail = fields.map { " \($0)=\(Self.quoted($1))" }.joined()
            line = "\(Self.time()) \(event.level.rawValue) \(event.message)\(tail)\n"
        case .json:
            var object = ["time": Self.time(), "level": event.level.rawValue, "message": "\(event.message)"]
            for (key, value) in fields { object[object[key] == nil ? key : "field_" + key] = value }
            line = Self.json(object) + "\n"
        }
        Output.error(line)
    }

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
        // Strings only: encoding cannot fail.
        return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
    }
}
