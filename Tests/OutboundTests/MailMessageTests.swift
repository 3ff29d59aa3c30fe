import Testing

@testable import Outbound

@Suite("Mails")
struct MailMessageTests {
    private func text(_ mail: Mail, from: String = "shop@example.com") throws -> String {
        String(decoding: try MailMessage(mail, from: from).bytes, as: UTF8.self)
    }

    @Test(arguments: [
        ("a@b", "a@b", "a@b"), (" a@b ", "a@b", "a@b"), ("<a@b>", "a@b", "a@b"), ("A B <a@b.c>", "a@b.c", "A B\r\n <a@b.c>"),
        ("\"A, B\" <a@b.c>", "a@b.c", "=?utf-8?Q?A=2C_B?=\r\n <a@b.c>"), ("Ü <a@b.c>", "a@b.c", "=?utf-8?Q?=C3=9C?=\r\n <a@b.c>"),
        (
            "a+tag=x!#$%&'*/?^_`{|}~-@xn--bcher-kva.example", "a+tag=x!#$%&'*/?^_`{|}~-@xn--bcher-kva.example",
            "a+tag=x!#$%&'*/?^_`{|}~-@xn--bcher-kva.example"
        ),
    ])
    func anAddressIsReadAndWritten(_ text: String, _ address: String, _ headerForm: String) throws {
        let mailbox = try Mailbox(text, of: "somebody")
        #expect(mailbox.address == address)
        #expect(mailbox.headerForm == headerForm)
    }

    @Test(arguments: [
        "", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b c", "a@b>", "<a@b", "a@b,c@d", "a@b, c@d", "a@b;c@d", "<a@b> <c@d>", "A <a@b> B <c@d>",
        "<a@b><c@d>", "A <a@b", "a@b\r\nBcc: x@y", "a@b\r\nBcc: <x@y>", "a@b\n", "A <a@b>\r\n", "A\t<a@b>",
        "a@b\nRCPT TO:<x@y>", "a\r\n@b", "a@b\u{0}", "\"a b\"@c", "a@[127.0.0.1]", ".a@b", "a.@b", "a..b@c", "a@.b", "a@b.", "a@b..c", "a@-b", "a@b-",
        "ü@b", "a@ü.example", "a@b\u{7f}c",
        "a@\(String(repeating: "x", count: 64))", "\(String(repeating: "x", count: 65))@b", "a@\(String(repeating: "x.", count: 130))y",
        "A <a@b> SIZE=1", "a@b> SIZE=1 <", "a@b SMTPUTF8", "(c) a@b", "a@b (c)",
    ])
    func whatIsNoAddressIsRefused(_ text: String) throws {
        for mail in [mail(to: [text]), mail(to: ["good@example.com", text])] {
            let error = try outboundError { () throws(OutboundError) in _ = try MailMessage(mail, from: "shop@example.com") }
            guard case .invalidMail(let said) = error else { throw error }
            #expect(said.hasPrefix("a recipient has"))
            #expect(error.isPermanent)
        }
        var mail = mail()
        mail.replyTo = text
        #expect(throws: OutboundError.self) { try MailMessage(mail, from: "shop@example.com") }
        #expect(throws: OutboundError.self) { try MailMessage(mail, from: text) }
    }

    @Test func somebodyAndNotTooManyAreWrittenTo() {
        #expect(throws: OutboundError.invalidMail("there is no recipient")) { try MailMessage(mail(to: []), from: "a@b") }
        let many = [String](repeating: "a@b", count: 101)
        #expect(throws: OutboundError.invalidMail("there are more than 100 recipients")) { try MailMessage(mail(to: many), from: "a@b") }
    }

    @Test func noSubjectAddsAHeader() throws {
        for separator in ["\r\n", "\n", "\r", "\u{0}", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}", "\r\n\r\n"] {
            let sent = try text(mail(subject: "a\(separator)Bcc: x@example.com"))
            #expect(
                sent.contains("\r\nSubject: a Bcc: x@example.com\r\n") || sent.contains("\r\nSubject: a  Bcc: x@example.com\r\n")
                    || sent.contains("\r\nSubject: a    Bcc"))
            #expect(!sent.contains("\nBcc"))
        }
    }

    @Test(arguments: [
        ("7712526826476106938.16384.1.939.0000000001B6AFD8.1", "7712526826476106938.16384.1.939.0000000001B6AFD8.1"), ("a b", "a%20b"),
        ("%20", "%2520"), (".a", "%2Ea"),
        ("a.", "a%2E"), ("a..b", "a.%2Eb"), (".", "%2E"), ("...", "%2E.%2E"), ("a@b>\r\nX: y", "a%40b%3E%0D%0AX%3A%20y"), ("ü", "%C3%BC"),
        ("a-b_c", "a-b_c"),
    ])
    func anIdIsWhatComesBeforeTheAt(_ id: String, _ written: String) throws {
        var mail = mail()
        mail.messageID = id
        #expect(try text(mail).contains("\r\nMessage-ID: <\(written)@example.com>\r\n"))
    }

    @Test(arguments: ["", String(repeating: "x", count: 701), String(repeating: "ü", count: 120)])
    func anIdThatNoMailCanCarryIsRefused(_ id: String) throws {
        var mail = mail()
        mail.messageID = id
        #expect(throws: OutboundError.self) { try MailMessage(mail, from: "a@b") }
    }

    @Test(
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"), (-1, "Thu, 01 Jan 1970 00:00:00 +0000"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 +0000"), (951_868_800, "Wed, 01 Mar 2000 00:00:00 +0000"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 +0000"),
            (1_795_943_107, "Sun, 29 Nov 2026 09:05:07 +0000"), (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 +0000"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 +0000"),
            (.max, "Fri, 31 Dec 9999 23:59:59 +0000"), (.min, "Thu, 01 Jan 1970 00:00:00 +0000"),
        ] as [(Int64, String)])
    func aDateIsWrittenAsMailsHaveIt(_ seconds: Int64, _ text: String) { #expect(MailDate.text(seconds) == text) }
}
