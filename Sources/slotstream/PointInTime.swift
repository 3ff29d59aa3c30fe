import Settings
import WAL

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A TIME on the command line: RFC 3339, or a duration back.
enum PointInTime {
    /// The time as RFC 3339 in UTC; nil if it is neither.
    static func rfc3339(_ text: String, now: Date = .now) -> String? {
        if let seconds = secondsBack(text) { return (now - seconds).formatted(.iso8601) }
        let withFraction = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        if (try? Date(text, strategy: .iso8601)) != nil || (try? Date(text, strategy: withFraction)) != nil { return text }
        return nil
    }

    /// The time as PostgreSQL counts it; nil if it is neither.
    static func timestamp(_ text: String, now: Date = .now) -> PostgresTimestamp? {
        let date: Date
        if let seconds = secondsBack(text) {
            date = now - seconds
        } else if let parsed = (try? Date(text, strategy: .iso8601)) ?? (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))) {
            date = parsed
        } else {
            return nil
        }
        return PostgresTimestamp(unixMicroseconds: Int64((date.timeIntervalSince1970 * 1e6).rounded()))
    }

    /// Longer ago than anything is stored, and within every calendar.
    private static let longestBack: TimeInterval = 100 * 366 * 86_400

    /// `90s`, `15m`, `1h`, `2d`, `500ms`; up to a hundred years.
    private static func secondsBack(_ text: String) -> TimeInterval? {
        let units: [(String, TimeInterval)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)]
        for (unit, seconds) in units where text.hasSuffix(unit) {
            let digits = text.dropLast(unit.count)
            if !digits.isEmpty, digits.allSatisfy(\.isNumber), let amount = TimeInterval(digits),
                amount * seconds <= longestBack
            {
                return amount * seconds
            }
        }
        return nil
    }
}
