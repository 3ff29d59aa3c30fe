import CNats

/// Derives the public nkey from a user's seed.
///
/// Shape of a seed: base32 without padding of two prefix bytes, 32 bytes of Ed25519 seed, and a CRC-16 of those,
/// little-endian. Of a public key: one prefix byte, 32 bytes, CRC-16. Source: nats-io/nkeys, `strkey.go`.
enum NKey {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)
    private static let seedPrefix: UInt8 = 18 << 3
    private static let userPrefix: UInt8 = 20 << 3

    /// The public key (`U…`) of the user seed in the file at `path`: its first line that begins with `SU`.
    /// - Throws: `.configuration`, never with the seed.
    static func publicKey(seedFile path: String) throws(JetStreamError) -> String {
        let text = try SecretFile.read(path)
        guard let line = text.split(whereSeparator: \.isWhitespace).first(where: { $0.hasPrefix("SU") }),
            let seed = userSeed(String(line))
        else { throw .configuration("\(path): the file has no user seed (SU…)") }
        guard let key = publicKey(seed) else { throw .configuration("\(path): libcrypto refuses the seed") }
        return Self.text([userPrefix] + key)
    }

    /// Prefix and key as nkeys write them: with their checksum, in base32.
    static func text(_ bytes: [UInt8]) -> String { encoded(bytes + littleEndian(crc16(bytes))) }

    private static func userSeed(_ text: String) -> [UInt8]? {
        guard let bytes = decoded(text), bytes.count == 36 else { return nil }
        guard littleEndian(crc16(bytes[..<34])) == Array(bytes[34...]) else { return nil }
        guard bytes[0] & 0xF8 == seedPrefix, (bytes[0] & 7) << 5 | (bytes[1] & 0xF8) >> 3 == userPrefix
        else { return nil }
        return Array(bytes[2..<34])
    }

    private static func publicKey(_ seed: [UInt8]) -> [UInt8]? {
        guard let key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count) else { return nil }
        defer { EVP_PKEY_free(key) }
        var publicKey = [UInt8](repeating: 0, count: 32)
        var count = publicKey.count
        guard EVP_PKEY_get_raw_public_key(key, &publicKey, &count) == 1, count == 32 else { return nil }
        return publicKey
    }

    private static func decoded(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for character in text.utf8 {
            guard let digit = alphabet.firstIndex(of: character) else { return nil }
            bits = bits << 5 | UInt32(digit)
            bitCount += 5
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        return bytes
    }

    private static func encoded(_ bytes: [UInt8]) -> String {
        var characters: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 5 {
                bitCount -= 5
                characters.append(alphabet[Int(bits >> UInt32(bitCount) & 31)])
            }
        }
        if bitCount > 0 { characters.append(alphabet[Int(bits << UInt32(5 - bitCount) & 31)]) }
        return String(decoding: characters, as: UTF8.self)
    }

    /// CRC-16/XMODEM, polynomial 0x1021.
    private static func crc16(_ bytes: some Sequence<UInt8>) -> UInt16 {
        var crc: UInt16 = 0
        for byte in bytes {
            crc ^= UInt16(byte) << 8
            for _ in 0..<8 { crc = crc & 0x8000 == 0 ? crc << 1 : crc << 1 ^ 0x1021 }
        }
        return crc
    }

    private static func littleEndian(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xFF), UInt8(value >> 8)] }
}
