import History
import Testing

@Suite struct AmountTests {
    @Test(arguments: [
        (UInt64(0), "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (2_516_582, "2.4 MiB"), (1_048_575, "1.0 MiB"), (345_000_000, "329 MiB"),
        (3 << 30, "3.0 GiB"), (5 << 40, "5.0 TiB"), (.max, "16.0 EiB"),
    ])
    func sizes(_ byteCount: UInt64, _ text: String) {
        #expect(Amount.bytes(byteCount) == text)
        #expect(Amount.bytes(byteCount, separator: "") == text.replacing(" ", with: ""))
    }

    @Test(arguments: [(UInt64(0), "0"), (999, "999"), (1_000, "1,000"), (100_052, "100,052"), (1_234_567, "1,234,567")])
    func counts(_ number: UInt64, _ text: String) { #expect(Amount.count(number) == text) }

    @Test(arguments: [
        (-1.0, "0.0 s"), (0.04, "0.0 s"), (0.25, "0.3 s"), (9.96, "10 s"), (45, "45 s"), (119, "119 s"), (240, "4 min"), (7_199, "119 min"),
        (32_400, "9 h"), (259_200, "3 d"), (1e300, "1000000000000000 d"),
    ])
    func times(_ seconds: Double, _ text: String) { #expect(Amount.time(seconds) == text) }

    @Test(arguments: [(0.0, "0.0"), (0.44, "0.4"), (9.9, "9.9"), (9.96, "10"), (310.4, "310"), (12_408, "12,408")])
    func rates(_ perSecond: Double, _ text: String) { #expect(Amount.rate(perSecond) == text) }

    @Test(arguments: [(UInt64(0), UInt64(10), "0 %"), (1, 1000, "< 1 %"), (57, 500, "11 %"), (999, 1000, "99 %"), (5, 0, "0 %")])
    func shares(_ part: UInt64, _ whole: UInt64, _ text: String) { #expect(Amount.share(part, of: whole) == text) }
}
