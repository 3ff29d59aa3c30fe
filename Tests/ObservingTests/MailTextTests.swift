import Testing

@testable import Observing

/// The bytes that an encoded word (RFC 2047) of ours stands for; nil: it is none.
func decodedWord(_ word: String) -> [UInt8]? {
    guard word.hasPrefix("=?utf-8?B?"), word.hasSuffix("?=") else { return nil }
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var bytes: [UInt8] = []
    var bits = 0
    var bitCount = 0
    for character in word.dropFirst(10).dropLast(2).utf8 where character != UInt8(ascii: "=") {
        guard let value = digits.firstIndex(of: character) else { return nil }
        bits = (bits << 6 | value) & 0xFFFF
        bitCount += 6
        if bitCount >= 8 {
            bitCount -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
        }
    }
    return bytes
}

@Suite struct MailTextTests {
    @Test(arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")])
    func writesBase64AsRFC4648Has(text: String, expected: String) {
        #expect(HeaderText.base64(Array(text.utf8)) == expected)
    }

    @Test(arguments: [
        ("Order 42", "Order 42"), ("", ""), ("a=b?", "a=b?"), ("Ève", "=?utf-8?B?w4h2ZQ==?="), ("a\r\nb", "a  b"), ("=?x", "=?utf-8?B?PT94?="),
    ])
    func encodesWhatIsNotASCII(text: String, expected: String) {
        #expect(HeaderText.encodedWords(text) == expected)
    }

    @Test func keepsWordsShortAndCharactersWhole() throws {
        let text = String(repeating: "Zürich 😀 ", count: 20)
        let words = HeaderText.encodedWords(text).split(separator: " ").map(String.init)
        #expect(words.allSatisfy { $0.utf8.count <= 75 })
        var bytes: [UInt8] = []
        for word in words {
            let decoded = try #require(decodedWord(word))
            #expect(String(validating: decoded, as: UTF8.self) != nil)
            bytes += decoded
        }
        #expect(bytes == Array(text.utf8))
    }

    @Test(arguments: ["é", "e\u{301}", "😀", "x"])
    func cutsALongTitle(character: String) {
        let title = HeaderText.encodedWords(String(repeating: character, count: 10_000))
        // One line of SMTP, with the header's name before it.
        #expect(title.utf8.count < 900)
        #expect(title.utf8.allSatisfy { (0x20...0x7E).contains($0) })
    }

    @Test(arguments: [
        ("ops@example.com", "ops@example.com", "ops@example.com"), (" ops@example.com ", "ops@example.com", "ops@example.com"),
        ("<ops@example.com>", "ops@example.com", "ops@example.com"),
        ("Ops <ops@example.com>", "ops@example.com", "\"Ops\" <ops@example.com>"),
        ("\"Ops, Team\" <o+x@a-b.example.com>", "o+x@a-b.example.com", "\"Ops, Team\" <o+x@a-b.example.com>"),
        ("Ève <e@example.com>", "e@example.com", "=?utf-8?B?w4h2ZQ==?= <e@example.com>"), ("a \"b\" \\ <c@d>", "c@d", "\"a \\\"b\\\" \\\\\" <c@d>"),
        ("root@localhost", "root@localhost", "root@localhost"),
        ("x <evil@a.example> <c@d>", "c@d", "\"x <evil@a.example>\" <c@d>"), ("a\r\nBcc: x <c@d>", "c@d", "\"a  Bcc: x\" <c@d>"),
    ])
    func readsAMailbox(text: String, address: String, headerText: String) throws {
        let read = try #require(MailAddress(text))
        #expect(read.address == address)
        #expect(read.headerText == headerText)
        #expect(read.headerText.utf8.allSatisfy { (0x20...0x7E).contains($0) })
    }
}
