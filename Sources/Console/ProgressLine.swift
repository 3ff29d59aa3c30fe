import Glibc
import Threads
import WAL

/// How a long command is going, on standard error: a bar that is drawn again on a terminal, a line every few seconds elsewhere.
package final class ProgressLine {
    private static let terminalInterval = Duration.milliseconds(200)
    private static let lineInterval = Duration.seconds(5)
    private static let barWidth = 10

    private let title: String
    private let isTerminal: Bool
    private let began = Instant.now
    private var lastShownAt = Instant.now
    private var isDrawn = false

    /// - Parameter title: What is under way: `replay r7`.
    package init(_ title: String) {
        self.title = title
        isTerminal = isatty(STDERR_FILENO) == 1
    }

    /// Shows it if it is time.
    /// - Parameters:
    ///   - fraction: From 0 to 1.
    ///   - note: What else there is to say.
    package func update(count: UInt64, fraction: Double, note: String = "") {
        let now = Instant.now
        guard now.duration(since: lastShownAt) >= (isTerminal ? Self.terminalInterval : Self.lineInterval) else { return }
        lastShownAt = now
        let line = Self.text(title, count: count, fraction: fraction, elapsed: now.duration(since: began).seconds, note: note)
        Output.error(isTerminal ? "\r\u{1B}[K\(line)" : line + "\n")
        isDrawn = isTerminal
    }

    /// Nothing more comes: what follows begins on a line of its own.
    package func end() {
        if isDrawn { Output.error("\r\u{1B}[K") }
        isDrawn = false
    }

    /// The line itself.
    package static func text(_ title: String, count: UInt64, fraction: Double, elapsed: Double, note: String) -> String {
        let fraction = min(1, max(0, fraction.isFinite ? fraction : 0))
        let filled = Int(fraction * Double(barWidth))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: barWidth - filled)
        var parts = ["\(title)  \(bar) \(Int(fraction * 100)) %", "\(count) events"]
        if elapsed >= 1 { parts.append("\(Int(Double(count) / elapsed))/s") }
        if fraction > 0.01, elapsed >= 1 { parts.append("\(Int((elapsed / fraction * (1 - fraction)).rounded(.up))) s left") }
        if !note.isEmpty { parts.append(note) }
        return parts.joined(separator: "  ")
    }
}
