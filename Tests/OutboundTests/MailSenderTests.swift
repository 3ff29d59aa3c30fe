import Foundation
import PrivateServers
import Testing

@testable import Outbound

@Suite("Mails to a mail server")
final class MailSenderTests {
    private let folder: URL
    private let certificates: Certificates

    init() throws {
        folder = try temporaryFolder("mail")
        certificates = try Certificates(in: folder)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    private func settings(_ port: UInt16, _ security: MailServer.Security, caFile: String = "ca.pem", credentials: [String] = []) -> MailServer {
        MailServer(
            host: "localhost", port: port, security: security, from: "Shop Ü <shop@example.com>", username: credentials.first,
            password: credentials.last,
            timeout: .seconds(30), caFile: certificates.path(caFile))
    }

    @Test(arguments: [MailServer.Security.none, .startTLS, .tls], [[], ["shop", "pässword: \"1\""]])
    func areTaken(_ security: MailServer.Security, _ credentials: [String]) throws {
        let server = try MailServerProcess(security, certificates, credentials: credentials)
        let sender = MailSender(settings(server.port, security, credentials: credentials))
        for number in 1...3 {
            var mail = mail(subject: "Order \(number)", text: "Line one\n.\n..two\nÜ\n")
            mail.to.append("Other One <other@example.org>")
            mail.replyTo = "help@example.com"
            mail.messageID = "event \(number)"
            try sender.send(mail)
            let received = try server.next()
            #expect(received.from == "shop@example.com")
            #expect(received.to == ["somebody@example.com", "other@example.org"])
            #expect(received.text == "Line one\n.\n..two\nÜ\n")
            #expect(
                received.headers == [
                    "From": "Shop Ü <shop@example.com>", "To": "somebody@example.com, Other One <other@example.org>", "Reply-To": "help@example.com",
                    "Subject": "Order \(number)", "Date": "Sun, 29 Nov 2026 09:05:07 +0000", "Message-ID": "<event%20\(number)@example.com>",
                    "Auto-Submitted": "auto-generated", "MIME-Version": "1.0", "Content-Type": "text/plain; charset=\"utf-8\"",
                    "Content-Transfer-Encoding": "quoted-printable",
                ])
            #expect(received.encrypted == (security != .none))
            #expect(received.authenticated == !credentials.isEmpty)
            expectWellFormed(received)
        }
    }

    @Test func textsArriveAsTheyAre() throws {
        let server = try MailServerProcess(.none, certificates)
        let sender = MailSender(settings(server.port, .none))
        let texts = [
            "", "\n", "one line without an end", "a\r\nb\rc\nd", ".", ".\n", "\n.\n.\nMAIL FROM:<x@example.com>\n", "..\n...\n",
            " leading\n\ttab\ntrailing \nand\t\n",
            "From here\n>From there\n", "=41=\n=\n", String(repeating: "x", count: 5_000), String(repeating: ".", count: 500),
            String(repeating: "é", count: 3_000), String(repeating: "👩‍👩‍👧 ", count: 400), "\u{0}\u{1}\u{7f}", "\u{feff}a",
            String(repeating: "a. ", count: 100),
        ]
        for text in texts {
            try sender.send(mail(subject: "s", text: text))
            let received = try server.next()
            let lines = text.replacingOccurrences(of: "\r\n", with: "\n").replacingOccurrences(of: "\r", with: "\n")
            #expect(received.text == (lines.isEmpty || lines.hasSuffix("\n") ? lines : lines + "\n"))
            expectWellFormed(received)
        }
    }

    @Test func subjectsArriveAsTheyAre() throws {
        let server = try MailServerProcess(.none, certificates)
        let sender = MailSender(settings(server.port, .none))
        let subjects = [
            "Order 1: paid (12.50) \"today\" <now>, a=b", "Bestellung für Jürgen", String(repeating: "long words and ", count: 20) + "end",
            "日本語の件名です、とても長い件名を書いています。これで大丈夫でしょうか。はい。",
            "=?utf-8?Q?not_encoded?=", "a =? b", "👩‍👩‍👧 family", String(repeating: "x", count: 400), "?=_=20", "ü",
        ]
        for subject in subjects {
            try sender.send(mail(subject: subject, text: "t"))
            let received = try server.next()
            #expect(received.headers["Subject"] == subject)
            expectWellFormed(received)
        }
    }

    private func expectWellFormed(_ received: MailServerProcess.Received) {
        #expect(received.defects == [])
        #expect(received.longest_line <= 76)
        #expect(received.is_ascii)
    }

    @Test func aWrongPasswordIsRefusedForGood() throws {
        let server = try MailServerProcess(.startTLS, certificates, credentials: ["shop", "right"])
        let sender = MailSender(settings(server.port, .startTLS, credentials: ["shop", "wrong"]))
        let error = try outboundError { () throws(OutboundError) in try sender.send(mail()) }
        guard case .mailRefused(535, _) = error else { throw TestFailure("\(error)") }
        #expect(error.isPermanent)
        #expect(!error.description.contains("wrong"))
    }

    @Test(arguments: [MailServer.Security.startTLS, .tls])
    func aCertificateThatDoesNotHoldIsRefused(_ security: MailServer.Security) throws {
        for (certificate, caFile) in [("elsewhere", "ca.pem"), ("expired", "ca.pem"), ("server", "other-ca.pem")] {
            let server = try MailServerProcess(security, certificates, certificate: certificate)
            let sender = MailSender(settings(server.port, security, caFile: caFile))
            let error = try outboundError { () throws(OutboundError) in try sender.send(mail()) }
            guard case .tls = error else { throw TestFailure("\(error)") }
        }
    }
}
