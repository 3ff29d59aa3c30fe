/// A point in time as PostgreSQL sends it: microseconds since 2000-01-01 00:00:00 UTC.
@frozen
public struct PostgresTimestamp: RawRepresentable, Hashable, Comparable, Sendable {
    public let rawValue: Int64

    @inlinable
    public init(rawValue: Int64) { self.rawValue = rawValue }

    @inlinable
    public init(_ rawValue: Int64) { self.rawValue = rawValue }

    /// Microseconds between the Unix epoch and PostgreSQL's: 10,957 days.
    public static let unixEpochOffsetMicroseconds: Int64 = 946_684_800_000_000

    /// Microseconds since 1970-01-01 00:00:00 UTC; saturates where the sum does not fit.
    @inlinable
    public var unixMicroseconds: Int64 {
        let (sum, overflow) = rawValue.addingReportingOverflow(Self.unixEpochOffsetMicroseconds)
        return overflow ? .max : sum
    }

    @inlinable
    public init(unixMicroseconds: Int64) {
        let (difference, overflow) = unixMicroseconds.subtractingReportingOverflow(Self.unixEpochOffsetMicroseconds)
        self.init(overflow ? .min : difference)
    }

    @inlinable
    public static func < (lhs: PostgresTimestamp, rhs: PostgresTimestamp) -> Bool { lhs.rawValue < rhs.rawValue }
}

extension PostgresTimestamp: CustomStringConvertible {
    /// RFC 3339 with six decimals and `+00:00`, as events carry it.
    public var description: String {
        var bytes: [UInt8] = []
        withUTF8Digits { bytes.append($0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Hands out the bytes of `description`, one at a time: `2026-11-23T07:09:12.123456+00:00`, always 32 bytes for the years 0 to 9999.
    ///
    /// The calendar is the proleptic Gregorian one; the civil date is found by Howard Hinnant's `civil_from_days`.
    @inlinable
    public func withUTF8Digits(_ append: (UInt8) -> Void) {
        let day = Int64(86_400_000_000)
        var days = rawValue / day
        var rest = rawValue % day
        if rest < 0 {
            rest += day
            days -= 1
        }
        // Days since 0000-03-01, so that the leap day is the last of its year.
        let shifted = days + 730_425
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * monthIndex + 2) / 5 + 1
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)

        func digits(_ value: Int64, _ count: Int) {
            var divisor: Int64 = 1
            for _ in 1..<count { divisor *= 10 }
            while divisor > 0 {
                append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / divisor % 10))
                divisor /= 10
            }
        }
        if year < 0 { append(UInt8(ascii: "-")) }
        digits(year.magnitude > 9999 ? 9999 : Int64(year.magnitude), 4)
        append(UInt8(ascii: "-"))
        digits(month, 2)
        append(UInt8(ascii: "-"))
        digits(dayOfMonth, 2)
        append(UInt8(ascii: "T"))
        let seconds = rest / 1_000_000
        digits(seconds / 3600, 2)
        append(UInt8(ascii: ":"))
        digits(seconds / 60 % 60, 2)
        append(UInt8(ascii: ":"))
        digits(seconds % 60, 2)
        append(UInt8(ascii: "."))
        digits(rest % 1_000_000, 6)
        append(UInt8(ascii: "+"))
        digits(0, 2)
        append(UInt8(ascii: ":"))
        digits(0, 2)
    }
}

extension PostgresTimestamp: LosslessStringConvertible {
    /// Reads exactly what `description` writes for the years 0 to 9999; nil for anything else.
    public init?(_ text: String) {
        let digits = text.utf8.map { Int64($0) - 0x30 }
        guard digits.count == 32 else { return nil }
        func number(_ range: Range<Int>) -> Int64 { digits[range].reduce(0) { $0 &* 10 &+ $1 } }
        // Days since 2000-01-01, by Howard Hinnant's `days_from_civil`.
        let month = number(5..<7)
        let year = number(0..<4) - (month <= 2 ? 1 : 0)
        let era = (year >= 0 ? year : year - 399) / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 &* (month > 2 ? month - 3 : month + 9) &+ 2) / 5 &+ number(8..<10) &- 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 &+ dayOfYear &- 730_425
        let seconds = number(11..<13) &* 3600 &+ number(14..<16) &* 60 &+ number(17..<19)
        self.init(days &* 86_400_000_000 &+ seconds &* 1_000_000 &+ number(20..<26))
        // What is no such text, or no date, is written otherwise.
        guard description == text else { return nil }
    }
}
