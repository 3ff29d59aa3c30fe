/// RFC 3339's `date-time`: `2026-11-23T07:09:12.5+00:00`.
enum RFC3339 {
    static func isTimestamp(_ text: [UInt8]) -> Bool {
        var rest = text[...]
        var latest = 0
        func digits(_ count: Int, _ range: ClosedRange<Int>) -> Bool {
            guard rest.count >= count else { return false }
            var value = 0
            for byte in rest.prefix(count) {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return false }
                value = value * 10 + Int(byte - UInt8(ascii: "0"))
            }
            rest = rest.dropFirst(count)
            latest = value
            return range.contains(value)
        }
        func one(of allowed: StaticString) -> Bool {
            guard let byte = rest.first,
                UnsafeBufferPointer(start: allowed.utf8Start, count: allowed.utf8CodeUnitCount).contains(byte)
            else { return false }
            rest = rest.dropFirst()
            return true
        }
        guard digits(4, 0...9999) else { return false }
        let year = latest
        guard one(of: "-"), digits(2, 1...12) else { return false }
        let isLeapYear = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let dayCounts = [31, isLeapYear ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard one(of: "-"), digits(2, 1...dayCounts[latest - 1]), one(of: "Tt"), digits(2, 0...23),
            one(of: ":"), digits(2, 0...59), one(of: ":"), digits(2, 0...60)
        else { return false }
        if one(of: ".") {
            guard digits(1, 0...9) else { return false }
            while digits(1, 0...9) {}
        }
        if one(of: "Zz") { return rest.isEmpty }
        return one(of: "+-") && digits(2, 0...23) && one(of: ":") && digits(2, 0...59) && rest.isEmpty
    }
}
