import Testing

@testable import Observing

@Suite struct MailAddressTests {
    @Test(arguments: [
        ("ops@example.com", "ops@example.com", "ops@example.com"), (" ops@example.com\t", "ops@example.com", "ops@example.com"),
        ("<ops@example.com>", "ops@example.com", "ops@example.com"), ("Ops <ops@example.com>", "ops@example.com", "Ops <ops@example.com>"),
        ("\"Ops, Team\" <o+x@a-b.example.com>", "o+x@a-b.example.com", "\"Ops, Team\" <o+x@a-b.example.com>"),
        ("Ève <e@example.com>", "e@example.com", "Ève <e@example.com>"), ("root@localhost", "root@localhost", "root@localhost"),
        // A name is what is before the last bracket, on one line and without brackets.
        ("x <evil@a.example> <c@d>", "c@d", "x evil@a.example <c@d>"), ("a\r\nBcc: x <c@d>", "c@d", "a  Bcc: x <c@d>"), ("<> <c@d>", "c@d", "c@d"),
    ])
    func readsAMailbox(text: String, address: String, shown: String) throws {
        let read = try #require(MailAddress(text))
        #expect(read.address == address)
        #expect(read.text == shown)
    }

    @Test(arguments: [
        "", "no address", "a@b, c@d", "a@b c@d", "<a@b", "a@b>", "a@b\r\nX: y", "a@@b", "@b", "a@", "a@.b", "a@b.", ".a@b", "a..b@c", "a@b;c@d",
        "a(x)@b", "\"a b\"@c",
        "a@[127.0.0.1]", "é@example.com", "a@exämple.com", "a@b\u{0}", "a@b<c@d>, <e@f", "x <a@b> y", "a@-b", "a@b-", "a@b_c", "x <a@b\n>",
        "x < a@b>",
    ])
    func refusesEverythingElse(text: String) {
        #expect(MailAddress(text) == nil)
    }

    @Test func takesSMTPsLimits() {
        let label = String(repeating: "d", count: 63)
        #expect(MailAddress("\(String(repeating: "a", count: 64))@\(label)") != nil)
        #expect(MailAddress("\(String(repeating: "a", count: 65))@b") == nil)
        #expect(MailAddress("a@\(label)d") == nil)
        #expect(MailAddress("a@\(label).\(label).\(label).\(String(repeating: "e", count: 60))") != nil)
        #expect(MailAddress("a@\(label).\(label).\(label).\(String(repeating: "e", count: 61))") == nil)
    }
}
