/// Times as JetStream writes them.
enum RFC3339 {
    /// Nanoseconds since 1970 of `2026-11-23T07:09:12.123456789Z`; fraction optional, offset `Z` or `±hh:mm`. nil for
    /// anything else, and for years that 64 bits of nanoseconds do not reach.
    static func unixNanoseconds(_ text: String) -> Int64? {
        var rest = Array(text.utf8)[...]
        guard let year = number(&rest, 4), literal(&rest, "-"), let month = number(&rest, 2), literal(&rest, "-"),
            let day = number(&rest, 2), literal(&rest, "T"), let hour = number(&rest, 2), literal(&rest, ":"),
            let minute = number(&rest, 2), literal(&rest, ":"), let second = number(&rest, 2),
            (1678...2261).contains(year), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60,
            second <= 60, let fraction = fraction(&rest), let offset = offset(&rest), rest.isEmpty
        else { return nil }
        let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset
        return seconds * 1_000_000_000 + fraction
    }

    private static func literal(_ rest: inout ArraySlice<UInt8>, _ character: Unicode.Scalar) -> Bool {
        guard let first = rest.first, first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    private static func number(_ rest: inout ArraySlice<UInt8>, _ count: Int) -> Int64? {
        guard rest.count >= count else { return nil }
        var value: Int64 = 0
        for byte in rest.prefix(count) {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            value = value * 10 + Int64(byte - UInt8(ascii: "0"))
        }
        rest.removeFirst(count)
        return value
    }

    private static func fraction(_ rest: inout ArraySlice<UInt8>) -> Int64? {
        guard literal(&rest, ".") else { return 0 }
        var value: Int64 = 0
        var count = 0
        while count < 9, let digit = number(&rest, 1) {
            value = value * 10 + digit
            count += 1
        }
        guard count > 0 else { return nil }
        while count < 9 {
            value *= 10
            count += 1
        }
        return value
    }

    /// Seconds east of Greenwich.
    private static func offset(_ rest: inout ArraySlice<UInt8>) -> Int64? {
        if literal(&rest, "Z") { return 0 }
        let sign: Int64 = literal(&rest, "-") ? -1 : 1
        guard sign < 0 || literal(&rest, "+"), let hours = number(&rest, 2), literal(&rest, ":"),
            let minutes = number(&rest, 2)
        else { return nil }
        return sign * (hours * 3_600 + minutes * 60)
    }

    /// Days since 1970 in the Gregorian calendar. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let era = year / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}
