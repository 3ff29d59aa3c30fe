/// Amounts as people read them, in one way everywhere: on screens, in the log, in findings.
package enum Amount {
    /// Sizes: `56 B`, `2.4 MiB`.
    /// - Parameter separator: Before the unit: none in the log, where a value is one word.
    package static func bytes(_ byteCount: UInt64, separator: String = " ") -> String {
        var value = Double(byteCount)
        guard value >= 1024 else { return "\(byteCount)\(separator)B" }
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var index = 0
        value /= 1024
        while value >= 1023.95, index + 1 < units.count {
            value /= 1024
            index += 1
        }
        return "\(value < 100 ? tenths(value) : whole(value))\(separator)\(units[index])"
    }

    /// Numbers of things: `100,052`.
    package static func count(_ number: UInt64) -> String {
        var digits = String(number)
        var grouped = ""
        while digits.count > 3 {
            grouped = "," + digits.suffix(3) + grouped
            digits.removeLast(3)
        }
        return digits + grouped
    }

    /// How long something is or was: `0.2 s`, `45 s`, `4 min`, `9 h`, `3 d`.
    package static func time(_ seconds: Double) -> String {
        guard seconds >= 9.95 else { return "\(tenths(max(0, seconds))) s" }
        if seconds < 120 { return "\(whole(seconds)) s" }
        if seconds < 120 * 60 { return "\(Int64(seconds / 60)) min" }
        if seconds < 48 * 3600 { return "\(Int64(seconds / 3600)) h" }
        return "\(whole((seconds / 86_400).rounded(.down))) d"
    }

    /// How many of something a second, without the unit: `310`, `0.4`.
    package static func rate(_ perSecond: Double) -> String {
        perSecond < 9.95 ? tenths(max(0, perSecond)) : count(UInt64(min(perSecond.rounded(), 1e18)))
    }

    /// A part of a whole: `11 %`, `< 1 %`.
    package static func share(_ part: UInt64, of whole: UInt64) -> String {
        guard whole > 0 else { return "0 %" }
        let percent = Double(part) / Double(whole) * 100
        return part > 0 && percent < 1 ? "< 1 %" : "\(Self.whole(percent.rounded(.down))) %"
    }

    /// With one digit behind the point; `Double.description` has as many as it takes.
    package static func tenths(_ value: Double) -> String {
        // Beyond this there is nothing to tell apart, and no integer to do it with.
        let tenths = Int64(min(value, 1e12) * 10 + 0.5)
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func whole(_ value: Double) -> String { "\(Int64(min(value, 1e15).rounded()))" }
}
