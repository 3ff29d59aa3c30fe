import Testing
import WAL

@Suite struct PostgresTimestampTests {
    /// Left: Unix microseconds, from PostgreSQL's `extract(epoch from …) * 1000000` (15.18); BC years counted
    /// astronomically, so that 1 BC is the year 0.
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000000+00:00"),
            (-1, "1969-12-31T23:59:59.999999+00:00"),
            (946_684_800_000_000, "2000-01-01T00:00:00.000000+00:00"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000+00:00"),
            (951_868_800_000_000, "2000-03-01T00:00:00.000000+00:00"),
            (1_709_251_199_999_999, "2024-02-29T23:59:59.999999+00:00"),
            (1_795_417_752_123_456, "2026-11-23T07:09:12.123456+00:00"),
            (-2_203_977_600_000_000, "1900-02-28T00:00:00.000000+00:00"),
            (-2_203_891_200_000_000, "1900-03-01T00:00:00.000000+00:00"),
            (4_107_456_000_000_000, "2100-02-28T00:00:00.000000+00:00"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000+00:00"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999+00:00"),
            (-62_135_596_800_000_000, "0001-01-01T00:00:00.000000+00:00"),
            (-62_135_596_800_000_001, "0000-12-31T23:59:59.999999+00:00"),
            (-62_162_121_600_000_000, "0000-02-29T00:00:00.000000+00:00"),
            (-62_198_755_200_000_000, "-0001-01-01T00:00:00.000000+00:00"),
            (-210_866_803_200_000_000, "-4713-11-24T00:00:00.000000+00:00"),
        ] as [(Int64, String)])
    func printsTheProlepticGregorianDate(unixMicroseconds: Int64, text: String) {
        let timestamp = PostgresTimestamp(unixMicroseconds: unixMicroseconds)
        #expect(timestamp.description == text)
        #expect(timestamp.unixMicroseconds == unixMicroseconds)
    }

    @Test func countsFromTheYear2000() {
        #expect(PostgresTimestamp(0).description == "2000-01-01T00:00:00.000000+00:00")
        #expect(PostgresTimestamp(0).unixMicroseconds == PostgresTimestamp.unixEpochOffsetMicroseconds)
    }

    @Test func everyValueHasAText() {
        for value in [Int64.min, .min + 1, -1, 0, 1, .max - 1, .max] {
            #expect(PostgresTimestamp(value).description.hasSuffix("+00:00"))
        }
        #expect(PostgresTimestamp(.max).description.hasPrefix("9999-"))
        #expect(PostgresTimestamp(.max).unixMicroseconds == .max)
        #expect(PostgresTimestamp(unixMicroseconds: .min).rawValue == .min)
    }

    @Test func everyDayOfFourCenturiesFollowsTheOneBefore() {
        var previous = ""
        for day in 0..<146_097 {
            let text = PostgresTimestamp(Int64(day) * 86_400_000_000).description
            #expect(text > previous)
            previous = text
        }
        #expect(previous == "2399-12-31T00:00:00.000000+00:00")
    }

    @Test func readsWhatItWritesAndNothingElse() {
        for microseconds in [
            Int64(0), -1, 1, 820_454_400_123_456, -63_113_904_000_000_000, 252_455_615_999_999_999, -86_400_000_000,
            5_097_600_000_000,
        ] {
            let timestamp = PostgresTimestamp(microseconds)
            #expect(PostgresTimestamp(timestamp.description) == timestamp, "\(timestamp)")
        }
        for text in [
            "", "2026-11-23T07:09:12.123456Z", "2026-02-30T07:09:12.123456+00:00", "2026-11-23T25:09:12.123456+00:00",
            "2026-11-23 07:09:12.123456+00:00", "2026-11-23T07:09:12.123456+01:00", "9999999999999999999999999999999é",
        ] {
            #expect(PostgresTimestamp(text) == nil, "\(text)")
        }
    }
}
