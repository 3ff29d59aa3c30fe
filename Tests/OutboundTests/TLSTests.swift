import Foundation
import PrivateServers
import Testing

@testable import Outbound

@Suite("TLS")
final class TLSTests {
    private let servers = ScriptedServers()
    private let folder: URL
    private let certificates: Certificates

    init() throws {
        folder = try temporaryFolder("tls")
        certificates = try Certificates(in: folder)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    private func sender(_ caFile: String?) -> HTTPSender {
        HTTPSender(allowsPrivateHosts: true, caFile: caFile.map { certificates.path($0) })
    }

    private func expectRefusal(_ url: String, caFile: String? = "ca.pem", _ text: String) throws {
        let error = try error(of: request(url, method: "GET", body: ""), sender: sender(caFile))
        guard case .tls(let said) = error else { throw TestFailure("\(error)") }
        #expect(said.contains(text))
        #expect(!error.isPermanent)
    }

    @Test(arguments: ["127.0.0.1", "localhost"])
    func aCertificateThatHoldsIsTaken(_ host: String) throws {
        let server = try TLSServer(certificates)
        #expect(try sender("ca.pem").send(request(server.url(host), method: "GET", body: "")).status == 200)
    }

    @Test func anotherHostsCertificateIsRefused() throws {
        let server = try TLSServer(certificates, certificate: "elsewhere")
        try expectRefusal(server.url("127.0.0.1"), "no alternative certificate subject name matches target host name '127.0.0.1'")
        try expectRefusal(server.url("localhost"), "no alternative certificate subject name matches target host name 'localhost'")
    }

    @Test(arguments: ["other-ca.pem", nil])
    func anUnknownAuthorityIsRefused(_ caFile: String?) throws {
        let server = try TLSServer(certificates)
        try expectRefusal(server.url("localhost"), caFile: caFile, "unable to get local issuer certificate")
    }

    @Test func anExpiredCertificateIsRefused() throws {
        let server = try TLSServer(certificates, certificate: "expired")
        try expectRefusal(server.url("localhost"), "certificate has expired")
    }

    @Test func nothingOlderThanTLS12IsSpoken() throws {
        let old = try TLSServer(certificates, options: ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"])
        try expectRefusal(old.url("localhost"), "protocol version")
        let oldest = try TLSServer(certificates, options: ["-tls1_2"])
        #expect(try sender("ca.pem").send(request(oldest.url("localhost"), method: "GET", body: "")).status == 200)
    }

    @Test func withoutTheFileOfAuthoritiesNothingIsSent() throws {
        let server = try TLSServer(certificates)
        try expectRefusal(server.url("localhost"), caFile: "missing.pem", "error setting certificate")
    }

    @Test func aServerWithoutTLSIsRefused() throws {
        let server = try servers.start { peer, _ in peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") }
        try expectRefusal("https://localhost:\(server.port)/", "wrong version number")
    }

    @Test func aServerThatHangsInTheHandshakeIsLeftInTime() throws {
        let server = try servers.start { peer, _ in peer.waitForEnd() }
        let request = request("https://localhost:\(server.port)/", timeout: .milliseconds(300))
        #expect(try error(of: request, sender: sender("ca.pem")) == .timedOut)
    }
}
