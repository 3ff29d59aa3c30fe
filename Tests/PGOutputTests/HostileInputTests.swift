import PGOutput
import SeededRandom
import Testing

/// Truncated, altered and invented bytes: typed errors, and what does decode lies inside the message.
@Suite struct HostileInputTests {
    /// Every vector's messages, each once.
    private static func messages() throws -> [DecodedMessage] {
        var seen: Set<[UInt8]> = []
        return try GoldenVector.all().flatMap { try $0.decoded().joined() }.filter { seen.insert($0.bytes).inserted }
    }

    @Test func everyStrictPrefixThrows() throws {
        for message in try Self.messages() {
            for length in 0..<message.bytes.count {
                // The long Stream Abort begins with the short one: only the frame's length tells them apart.
                if message.bytes[0] == UInt8(ascii: "A"), length == 9 { continue }
                var decoder = message.before
                let prefix = Array(message.bytes[..<length])
                #expect(throws: PGOutputError.self, "\(prefix)") { try decoder.decode(prefix) }
            }
        }
    }

    @Test func everyAppendedByteThrows() throws {
        for message in try Self.messages() {
            for byte in [UInt8(0), 1, 0x4E, 0xFF] {
                var decoder = message.before
                #expect(throws: PGOutputError.self) { try decoder.decode(message.bytes + [byte]) }
            }
        }
    }

    /// All 255 other values at every position of a short message, 24 of them at every position of a long one.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func everySingleByteChangeDecodesInsideTheMessageOrThrows(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        for message in try Self.messages() {
            for position in message.bytes.indices {
                let changes: [UInt8]
                if message.bytes.count <= 32 {
                    changes = seed == 1 ? Array(1...255) : []
                } else {
                    changes = (0..<8).map { _ in UInt8.random(in: 1...255, using: &generator) }
                }
                for change in changes {
                    var bytes = message.bytes
                    bytes[position] ^= change
                    expectDecodesInsideOrThrows(bytes, message.before, seed: seed)
                }
            }
        }
    }

    @Test(arguments: [11, 12, 13, 14] as [UInt64])
    func inventedMessagesDecodeInsideTheMessageOrThrow(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let letters = Array("BCORYIUDTMSEcAbPKrpNKOnutbdfi".utf8) + [0, 0, 0, 0, 1, 2, 3, 5]
        var inBlock = PGOutputDecoder()
        _ = try inBlock.decode([UInt8(ascii: "S"), 0, 0, 0, 1, 1])
        for _ in 0..<20_000 {
            let length = Int.random(in: 0...60, using: &generator)
            // Three in four bytes have a meaning somewhere: pure noise ends at the first tag.
            let bytes = (0..<length).map { _ in
                Int.random(in: 0..<4, using: &generator) == 0
                    ? UInt8.random(in: 0...255, using: &generator)
                    : letters[Int.random(in: 0..<letters.count, using: &generator)]
            }
            expectDecodesInsideOrThrows(bytes, PGOutputDecoder(), seed: seed)
            expectDecodesInsideOrThrows(bytes, inBlock, seed: seed)
        }
    }

    /// Writing a message again from what was decoded reads every range, and finds out what was passed over.
    private func expectDecodesInsideOrThrows(_ bytes: [UInt8], _ before: PGOutputDecoder, seed: UInt64) {
        var decoder = before
        guard let decoded = try? DecodedMessage(bytes, by: &decoder) else { return }
        if MessageEncoder.bytes(of: decoded) != bytes {
            Issue.record("seed \(seed): decoded wrongly: \(bytes)")
        }
    }

    @Test(
        arguments: [
            // 65535 columns in a message of ten bytes, new and old.
            ([0x49, 0, 0, 0, 1, 0x4E, 0xFF, 0xFF, 0x6E, 0x6E], .truncated(offset: 8, neededByteCount: 65535)),
            ([0x44, 0, 0, 0, 1, 0x4B, 0xFF, 0xFF, 0x6E, 0x6E], .truncated(offset: 8, neededByteCount: 65535)),
            // A value of Int32.max bytes, of fewer than none, and of one more than there are.
            (
                [0x49, 0, 0, 0, 1, 0x4E, 0, 1, 0x74, 0x7F, 0xFF, 0xFF, 0xFF],
                .truncated(offset: 13, neededByteCount: 0x7FFF_FFFF)
            ),
            ([0x49, 0, 0, 0, 1, 0x4E, 0, 1, 0x62, 0xFF, 0xFF, 0xFF, 0xFF], .negativeCount(-1, offset: 9)),
            ([0x49, 0, 0, 0, 1, 0x4E, 0, 1, 0x74, 0, 0, 0, 2, 0x61], .truncated(offset: 13, neededByteCount: 2)),
            // 65535 columns of a relation.
            ([0x52, 0, 0, 0, 1, 0, 0x61, 0, 0x64, 0xFF, 0xFF], .truncated(offset: 11, neededByteCount: 655_350)),
            // 2,147,483,647 truncated relations, and fewer than none.
            ([0x54, 0x7F, 0xFF, 0xFF, 0xFF, 0], .truncated(offset: 6, neededByteCount: 8_589_934_588)),
            ([0x54, 0x80, 0, 0, 0, 0], .negativeCount(.min, offset: 1)),
            // A logical message's content.
            (
                [0x4D, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x7F, 0xFF, 0xFF, 0xFF],
                .truncated(offset: 15, neededByteCount: 0x7FFF_FFFF)
            ),
            ([0x4D, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0xFF, 0xFF, 0xFF, 0xFE], .negativeCount(-2, offset: 11)),
        ] as [([UInt8], PGOutputError)])
    func aCountThatTheMessageDoesNotHoldIsRefusedBeforeAnythingIsReserved(bytes: [UInt8], error: PGOutputError) {
        var decoder = PGOutputDecoder()
        #expect(throws: error) { try decoder.decode(bytes) }
        #expect(decoder.newColumns.capacity < 16)
        #expect(decoder.oldColumns.capacity < 16)
    }

    @Test(
        arguments: [
            ([], .truncated(offset: 0, neededByteCount: 1)),
            ([0x00], .unknownMessage(tag: 0)),
            ([0x5A], .unknownMessage(tag: 0x5A)),
            // What precedes a tuple, a column's kind, a replica identity.
            ([0x49, 0, 0, 0, 1, 0x4B, 0, 0], .unknownTag(0x4B, offset: 5)),
            ([0x55, 0, 0, 0, 1, 0x58, 0, 0], .unknownTag(0x58, offset: 5)),
            ([0x55, 0, 0, 0, 1, 0x4B, 0, 0, 0x4B, 0, 0], .unknownTag(0x4B, offset: 8)),
            ([0x44, 0, 0, 0, 1, 0x4E, 0, 0], .unknownTag(0x4E, offset: 5)),
            ([0x49, 0, 0, 0, 1, 0x4E, 0, 1, 0x78], .unknownTag(0x78, offset: 8)),
            ([0x52, 0, 0, 0, 1, 0, 0, 0x78, 0, 0], .unknownTag(0x78, offset: 7)),
            // Flags: a column's, TRUNCATE's, a logical message's, Stream Start's, Commit's.
            ([0x52, 0, 0, 0, 1, 0, 0, 0x64, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 1], .unknownFlags(2, offset: 10)),
            ([0x54, 0, 0, 0, 0, 4], .unknownFlags(4, offset: 5)),
            ([0x4D, 3], .unknownFlags(3, offset: 1)),
            ([0x53, 0, 0, 0, 1, 2], .unknownFlags(2, offset: 5)),
            ([0x43, 1], .unknownFlags(1, offset: 1)),
            // Strings.
            ([0x59, 0, 0, 0, 1, 0x61], .unterminatedString(offset: 5)),
            ([0x59, 0, 0, 0, 1, 0xFF, 0, 0x61, 0], .invalidUTF8(offset: 5)),
            // 0/0 as a transaction's position.
            ([0x42] + Array(repeating: 0, count: 20), .invalidLSN(offset: 1)),
            // Nothing may follow.
            ([0x49, 0, 0, 0, 1, 0x4E, 0, 0, 0], .trailingBytes(offset: 8)),
            ([0x54, 0, 0, 0, 0, 0, 0], .trailingBytes(offset: 6)),
        ] as [([UInt8], PGOutputError)])
    func anErrorNamesWhatIsWrongAndWhere(bytes: [UInt8], error: PGOutputError) {
        var decoder = PGOutputDecoder()
        #expect(throws: error) { try decoder.decode(bytes) }
        #expect(!error.description.isEmpty)
    }

    @Test func anErrorsTextShowsOnlyPrintableBytes() {
        #expect(PGOutputError.unknownMessage(tag: 0x5A).description == "unknown message 'Z'")
        #expect(PGOutputError.unknownMessage(tag: 0x0A).description == "unknown message 0x0a")
        #expect(PGOutputError.unknownTag(0xFF, offset: 7).description == "unknown tag 0xff at offset 7")
    }
}
