import Glibc
import Threads
import WAL

/// How a long command is going, on standard error: a bar that is drawn again on a terminal, a line every few seconds elsewhere.
package final class ProgressLine {
    private static let terminalInterval = Duration.milliseconds(200)
    private static let lineInterval = Duration.seconds(5)
    private static let barWidth = 10

    private let title: String
    private let unit: String
    /// What was there before the line was first shown, which says nothing of how fast the rest comes; nil: nothing is.
    private var before: (count: UInt64, fraction: Double)?
    private let isTerminal: Bool
    private let began = Instant.now
    private var lastShownAt = Instant.now
    private var isDrawn = false

    /// - Parameters:
    ///   - title: What is under way: `replay r7`.
    ///   - unit: What is counted.
    ///   - wasUnderWay: Whether it may have begun before it is watched.
    package init(_ title: String, unit: String = "events", wasUnderWay: Bool = false) {
        self.title = title
        self.unit = unit
        before = wasUnderWay ? nil : (0, 0)
        isTerminal = isatty(STDERR_FILENO) == 1
    }

    /// Shows it if it is time.
    /// - Parameters:
    ///   - fraction: From 0 to 1.
    ///   - note: What else there is to say.
    package func update(count: UInt64, fraction: Double, note: String = "") {
        let now = Instant.now
        let before = before ?? (count, fraction)
        self.before = before
        guard now.duration(since: lastShownAt) >= (isTerminal ? Self.terminalInterval : Self.lineInterval) else { return }
        lastShownAt = now
        let line = Self.text(
            title, unit: unit, count: count, fraction: fraction, before: before, elapsed: now.duration(since: began).seconds, note: note)
        Output.error(isTerminal ? "\r\u{1B}[K\(line)" : line + "\n")
        isDrawn = isTerminal
    }

    /// Nothing more comes: what follows begins on a line of its own.
    package func end() {
        if isDrawn { Output.error("\r\u{1B}[K") }
        isDrawn = false
    }

    /// The line itself.
    package static func text(
        _ title: String, unit: String = "events", count: UInt64, fraction: Double, before: (count: UInt64, fraction: Double) = (0, 0),
        elapsed: Double, note: String
    ) -> String {
        let fraction = min(1, max(0, fraction.isFinite ? fraction : 0))
        let filled = Int(fraction * Double(barWidth))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: barWidth - filled)
        var parts = ["\(title)  \(bar) \(Int(fraction * 100)) %", "\(count) \(unit)"]
        let done = fraction - before.fraction
        if elapsed >= 1, count >= before.count { parts.append("\(Int(Double(count - before.count) / elapsed))/s") }
        if done > 0.01, elapsed >= 1 { parts.append("\(Int((elapsed / done * (1 - fraction)).rounded(.up))) s left") }
        if !note.isEmpty { parts.append(note) }
        return parts.joined(separator: "  ")
    }
}
