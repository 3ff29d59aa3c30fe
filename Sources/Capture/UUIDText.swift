/// UUIDs as text: `2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11`.
enum UUIDText {
    /// Of RFC 9562, appendix: the namespace of names that are OIDs.
    private static let oidNamespace: [UInt8] = [
        0x6B, 0xA7, 0xB8, 0x12, 0x9D, 0xAD, 0x11, 0xD1, 0x80, 0xB4, 0x00, 0xC0, 0x4F, 0xD4, 0x30, 0xC8,
    ]

    /// All zeros: what FraiseQL's format has where a change has no one entity (TRUNCATE).
    static let zero: StaticString = "\"00000000-0000-0000-0000-000000000000\""

    /// Whether a JSON string, quotes included, holds a UUID as PostgreSQL writes it, in either case of letters.
    static func isQuotedUUID(_ text: UnsafeRawBufferPointer) -> Bool {
        guard text.count == 38, text[0] == UInt8(ascii: "\""), text[37] == UInt8(ascii: "\"") else { return false }
        for index in 1..<37 {
            let byte = text[index]
            switch index {
            case 9, 14, 19, 24: if byte != UInt8(ascii: "-") { return false }
            default:
                let isDigit = byte &- UInt8(ascii: "0") <= 9
                guard isDigit || (byte | 0x20) &- UInt8(ascii: "a") <= 5 else { return false }
            }
        }
        return true
    }

    /// Appends the UUID of version 5 (RFC 9562) of a name in the namespace of OIDs.
    /// - Returns: Whether its digest could be had; if not, nothing is appended.
    static func appendVersion5(
        of name: UnsafeRawBufferPointer, to buffer: inout OutputBuffer,
        sha1: CaptureFunctions.Digest
    ) -> Bool {
        return withUnsafeTemporaryAllocation(byteCount: oidNamespace.count + name.count, alignment: 1) { input in
            input.copyBytes(from: oidNamespace)
            UnsafeMutableRawBufferPointer(rebasing: input[oidNamespace.count...]).copyMemory(from: name)
            return withUnsafeTemporaryAllocation(byteCount: 20, alignment: 8) { digest in
                guard sha1(UnsafeRawBufferPointer(input), digest) else { return false }
                digest[6] = digest[6] & 0x0F | 0x50
                digest[8] = digest[8] & 0x3F | 0x80
                for index in 0..<16 {
                    if index == 4 || index == 6 || index == 8 || index == 10 { buffer.append(UInt8(ascii: "-")) }
                    buffer.append(hexadecimal: digest[index])
                }
                return true
            }
        }
    }
}
