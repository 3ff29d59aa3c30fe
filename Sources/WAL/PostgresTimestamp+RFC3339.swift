extension PostgresTimestamp {
    /// Reads RFC 3339 as servers and people write it: any number of decimals, `Z` or an offset; nil for anything else.
    ///
    /// What is finer than a microsecond is cut off.
    public init?(rfc3339 text: String) {
        var rest = Array(text.utf8)[...]
        func digits(_ count: Int) -> String? {
            guard rest.count >= count, rest.prefix(count).allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            defer { rest = rest.dropFirst(count) }
            return String(decoding: rest.prefix(count), as: UTF8.self)
        }
        func one(of allowed: String) -> UInt8? {
            guard let byte = rest.first, allowed.utf8.contains(byte) else { return nil }
            rest = rest.dropFirst()
            return byte
        }
        guard let year = digits(4), one(of: "-") != nil, let month = digits(2), one(of: "-") != nil, let day = digits(2),
            one(of: "Tt ") != nil, let hour = digits(2), one(of: ":") != nil, let minute = digits(2), one(of: ":") != nil,
            let second = digits(2)
        else { return nil }
        var fraction = ""
        if one(of: ".") != nil {
            while let digit = digits(1) { fraction += digit }
            guard !fraction.isEmpty else { return nil }
        }
        var offsetMinutes: Int64 = 0
        if let sign = one(of: "+-") {
            guard let hours = digits(2).flatMap({ Int64($0) }), one(of: ":") != nil, let minutes = digits(2).flatMap({ Int64($0) })
            else { return nil }
            offsetMinutes = (hours * 60 + minutes) * (sign == UInt8(ascii: "-") ? -1 : 1)
        } else if one(of: "Zz") == nil {
            return nil
        }
        guard rest.isEmpty else { return nil }
        let microseconds = (fraction + "000000").prefix(6)
        guard let local = PostgresTimestamp("\(year)-\(month)-\(day)T\(hour):\(minute):\(second).\(microseconds)+00:00") else { return nil }
        self.init(rawValue: local.rawValue - offsetMinutes * 60_000_000)
    }
}
