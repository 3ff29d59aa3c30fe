import Glibc
import PrivateServers
import SeededRandom
import Testing

@testable import Outbound

@Suite("What a mail server says", .serialized)
struct MailDialogTests {
    private let servers = ScriptedServers()
    private static let steps = ["greeting", "EHLO", "AUTH", "credentials", "MAIL", "RCPT", "DATA", "end"]

    private func server(_ dialog: MailDialog) throws -> ScriptedServer {
        try servers.start { peer, _ in dialog.hold(peer) }
    }

    private func sender(
        _ server: ScriptedServer, _ security: MailServer.Security = .none, username: String? = "shop", timeout: Duration = .seconds(30)
    ) -> MailSender {
        MailSender(
            MailServer(
                host: "127.0.0.1", port: server.port, security: security, from: "shop@example.com", username: username, password: "hunter2",
                timeout: timeout, caFile: nil))
    }

    private func error(of sender: MailSender, _ mail: Mail = mail()) throws -> OutboundError {
        try outboundError { () throws(OutboundError) in try sender.send(mail) }
    }

    @Test func theUsualIsTheUsual() throws {
        let dialog = MailDialog()
        try sender(server(dialog)).send(mail())
        #expect(dialog.verbs == ["EHLO", "AUTH", "credentials", "MAIL", "RCPT", "DATA", "QUIT"])
    }

    @Test(arguments: steps, [421, 451, 550, 554])
    func aRefusalIsToldByItsCode(_ step: String, _ code: Int) throws {
        var said = [step: MailDialog.Answer.line("\(code)-one\r\n\(code) because of that")]
        // Who does not know EHLO is asked by HELO.
        said["HELO"] = said["EHLO"]
        let error = try error(of: sender(server(MailDialog(said))))
        #expect(error == .mailRefused(code: code, text: "because of that"))
        #expect(error.isPermanent == (code >= 500))
    }

    @Test(arguments: steps)
    func whoHangsIsLeftInTime(_ step: String) throws {
        let server = try server(MailDialog([step: .nothing]))
        let error = try error(of: sender(server, timeout: .milliseconds(300)))
        #expect(error == .timedOut)
        #expect(!error.isPermanent)
        #expect(error.description.contains("may have acted"))
    }

    @Test(arguments: steps)
    func aConnectionThatEndsIsCut(_ step: String) throws {
        let error = try error(of: sender(server(MailDialog([step: .cut]))))
        guard case .cut = error else { throw TestFailure("\(error)") }
        #expect(!error.isPermanent)
    }

    @Test(arguments: [MailDialog.Answer.nothing, .cut, .line("500 no"), .line("x")])
    func whatHappensAfterTheYesChangesNothing(_ answer: MailDialog.Answer) throws {
        let dialog = MailDialog(["QUIT": answer])
        let elapsed = try ContinuousClock().measure {
            try sender(server(dialog), timeout: .seconds(120)).send(mail())
        }
        #expect(dialog.verbs.last == "QUIT")
        // The time limit is not for saying goodbye, nor are libcurl's two minutes, while the handle is freed.
        #expect(elapsed < .seconds(60))
    }

    @Test func aRecipientThatIsRefusedKeepsTheMailFromAll() throws {
        let dialog = MailDialog(["RCPT": .line("550 nobody")])
        let error = try error(of: sender(server(dialog)), mail(to: ["a@example.com", "b@example.com"]))
        #expect(error == .mailRefused(code: 550, text: "nobody"))
        #expect(!dialog.verbs.contains("DATA"))
    }

    @Test func withoutAUserNameNobodyAuthenticates() throws {
        let dialog = MailDialog()
        try sender(server(dialog), username: nil).send(mail())
        #expect(dialog.verbs == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"])
    }

    /// What a middle man can do to the offer of TLS.
    @Test(arguments: [
        ["EHLO": "250-here\r\n250 AUTH PLAIN"], ["EHLO": "250 here"], ["EHLO": "500 what"],
        ["EHLO": "250-here\r\n250-AUTH PLAIN\r\n250 STARTTLS", "STARTTLS": "454 not now"],
        ["EHLO": "250-here\r\n250-AUTH PLAIN\r\n250 STARTTLS", "STARTTLS": "502 never"],
        ["EHLO": "250-here\r\n250-AUTH PLAIN\r\n250 STARTTLS", "STARTTLS": "220 go\r\n250-here\r\n250 AUTH PLAIN"],
        [
            "EHLO": "250-here\r\n250-AUTH PLAIN\r\n250 STARTTLS",
            "STARTTLS": "220 go\r\n235 welcome\r\n250 fine\r\n250 fine\r\n354 go on\r\n250 taken",
        ],
    ])
    func withoutTLSNothingIsSaidWhereItIsWanted(_ said: [String: String]) throws {
        let dialog = MailDialog(said.mapValues { .line($0) })
        let error = try error(of: sender(server(dialog), .startTLS, timeout: .seconds(5)))
        switch error {
        case .tls, .unreadableAnswer, .mailRefused(500, _): break
        default: throw TestFailure("\(error)")
        }
        // What follows STARTTLS may be a handshake, which has no verbs of mail.
        #expect(Set(dialog.verbs).isDisjoint(with: ["HELO", "AUTH", "credentials", "MAIL", "RCPT", "DATA"]))
    }

    @Test(arguments: ["220-x\r\n", "x", "220 x\r\n"])
    func aServerThatDoesNotStopTalkingIsRefused(_ part: String) throws {
        let endless = try servers.start { peer, _ in while peer.send(String(repeating: part, count: 100)) {} }
        _ = try error(of: sender(endless, timeout: .seconds(5)))
    }

    @Test(arguments: [UInt64.random(in: 0...UInt64.max)])
    func bytesAtRandomTrapNothing(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let parts = [
            "220 a\r\n", "250-STARTTLS\r\n", "250 AUTH PLAIN LOGIN CRAM-MD5\r\n", "250 ok\r\n", "354 go\r\n", "334 VXNlcm5hbWU6\r\n", "235 in\r\n",
            "\u{0}", "9", "\r\n",
        ]
        let answers = (0..<300).map { _ in
            (0..<Int.random(in: 0..<12, using: &random)).flatMap { _ -> [UInt8] in
                var bytes = Array((parts.randomElement(using: &random) ?? "").utf8)
                if Bool.random(using: &random) { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
                return bytes
            }
        }
        let wild = try servers.start { peer, number in
            peer.send(answers[(number - 1) % answers.count])
            shutdown(peer.descriptor, Int32(SHUT_WR))
            peer.waitForEnd()
        }
        for number in answers.indices {
            let sender = sender(wild, number % 2 == 0 ? .startTLS : .none, timeout: .seconds(5))
            do { try sender.send(mail()) } catch { #expect(!error.description.isEmpty, "seed \(seed)") }
        }
    }

    @Test func thePasswordIsShownNowhere() throws {
        let server = MailServer(
            host: "mail.example.com", port: 587, security: .startTLS, from: "shop@example.com", username: "shop", password: "hunter2",
            timeout: .seconds(30),
            caFile: nil)
        var dumped = ""
        dump(server, to: &dumped)
        for text in ["\(server)", String(reflecting: server), "\([server])", "\(Optional(server) as Any)", dumped] {
            #expect(!text.contains("hunter2"))
        }
    }
}
