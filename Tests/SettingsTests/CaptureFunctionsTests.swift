import Capture
import Foundation
import Testing

@testable import Settings

/// The digests that masks and ids are made with, against vectors that others have published.
@Suite struct CaptureFunctionsTests {
    private static func bytes(_ hexadecimal: String) throws -> [UInt8] {
        try stride(from: 0, to: hexadecimal.utf8.count, by: 2).map { offset in
            try #require(UInt8(hexadecimal.dropFirst(offset).prefix(2), radix: 16))
        }
    }

    /// In hexadecimal digits; nil: it could not be computed.
    private static func digest(_ byteCount: Int, of text: [UInt8], _ function: CaptureFunctions.Digest) -> String? {
        var digest = [UInt8](repeating: 0xEE, count: byteCount)
        let isComputed = text.withUnsafeBytes { text in digest.withUnsafeMutableBytes { function(text, $0) } }
        return isComputed ? digest.map { String(format: "%02x", $0) }.joined() : nil
    }

    private static func hmac(key: [UInt8], _ text: [UInt8]) throws -> String? {
        let function = try #require(CaptureFunctions(maskKey: SecretBytes(key)).hmacSHA256)
        return digest(32, of: text, function)
    }

    /// RFC 4231, section 4: key, data, and HMAC-SHA-256, of which case 5 has the first half.
    private static let authenticated: [(key: [UInt8], text: [UInt8], digest: String)] = [
        (
            [UInt8](repeating: 0x0B, count: 20), Array("Hi There".utf8),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            [UInt8](repeating: 0xAA, count: 20), [UInt8](repeating: 0xDD, count: 50),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        ),
        (
            Array(1...25), [UInt8](repeating: 0xCD, count: 50),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
        ),
        ([UInt8](repeating: 0x0C, count: 20), Array("Test With Truncation".utf8), "a3b6167473100ee06e0c796c2955552b"),
        (
            [UInt8](repeating: 0xAA, count: 131), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
        (
            [UInt8](repeating: 0xAA, count: 131),
            Array(
                "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm."
                    .utf8),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
        ),
    ]

    @Test(arguments: authenticated.indices)
    func hmacIsTheOneOfRFC4231(_ index: Int) throws {
        let (key, text, expected) = Self.authenticated[index]
        let digest = try #require(try Self.hmac(key: key, text))
        #expect(digest.count == 64 && digest.hasPrefix(expected))
    }

    /// NIST, "Examples with Intermediate Values" of FIPS 180, and the empty message.
    private static let hashed: [(text: [UInt8], digest: String)] = [
        ([], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        (Array("abc".utf8), "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        ),
        ([UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
    ]

    @Test(arguments: hashed.indices)
    func sha1IsTheOneOfFIPS180(_ index: Int) {
        let (text, expected) = Self.hashed[index]
        #expect(Self.digest(20, of: text, CaptureFunctions(maskKey: nil).sha1) == expected)
    }

    @Test func nothingIsLeftOfTheTextBefore() throws {
        let functions = CaptureFunctions(maskKey: SecretBytes(Array("Jefe".utf8)))
        let hmac = try #require(functions.hmacSHA256)
        for _ in 0..<3 {
            for (key, text, expected) in Self.authenticated where key == Array("Jefe".utf8) {
                #expect(Self.digest(32, of: Array("another".utf8), hmac) != expected)
                #expect(Self.digest(32, of: text, hmac) == expected)
                #expect(Self.digest(32, of: [], hmac) != expected)
            }
            for (text, expected) in Self.hashed { #expect(Self.digest(20, of: text, functions.sha1) == expected) }
        }
    }

    @Test func manyThreadsComputeAtOnce() async throws {
        let functions = CaptureFunctions(maskKey: SecretBytes(Array("Jefe".utf8)))
        let hmac = try #require(functions.hmacSHA256)
        let isRight = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<500).allSatisfy { _ in
                        Self.digest(32, of: Self.authenticated[1].text, hmac) == Self.authenticated[1].digest
                            && Self.digest(20, of: Self.hashed[1].text, functions.sha1) == Self.hashed[1].digest
                    }
                }
            }
            return await group.allSatisfy { $0 }
        }
        #expect(isRight)
    }

    @Test func withoutAKeyThereIsNoMask() { #expect(CaptureFunctions(maskKey: nil).hmacSHA256 == nil) }

    @Test func whatDoesNotFitIsNotWritten() throws {
        let functions = CaptureFunctions(maskKey: SecretBytes([1]))
        #expect(Self.digest(31, of: [1], try #require(functions.hmacSHA256)) == nil)
        #expect(Self.digest(19, of: [1], functions.sha1) == nil)
    }
}
