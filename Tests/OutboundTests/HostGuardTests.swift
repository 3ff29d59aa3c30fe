import PrivateServers
import Testing

@testable import Outbound

@Suite("Private hosts")
struct HostGuardTests {
    private let servers = ScriptedServers()
    private func server() throws -> ScriptedServer {
        // On all addresses: the guard is what keeps anybody away, not that nobody is there.
        try servers.start(address: "0.0.0.0") { peer, _ in
            while peer.readRequest() != nil { peer.answer("200 OK") }
        }
    }

    @Test(arguments: [
        "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001", "0X7F.0.0.1", "0177.0.0.1", "017700000001", "localhost", "LOCALHOST",
        "127.255.255.254", "%31%32%37.0.0.1", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "0", "[::]",
        "169.254.169.254",
        "0xa9fea9fe", "[::ffff:169.254.169.254]", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[fc00::1]", "[fe80::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]", "224.0.0.1", "255.255.255.255",
    ])
    func areNotConnectedTo(_ host: String) throws {
        let server = try server()
        let request = request("http://\(host):\(server.port)/", timeout: .seconds(10))
        let error = try error(of: request, sender: HTTPSender(allowsPrivateHosts: false, caFile: nil))
        guard case .privateHost(_, let address) = error else { throw TestFailure("\(error)") }
        #expect(IPAddress(address).map(AddressRule.isPublic) == false)
        #expect(error.isPermanent)
        #expect(server.connectionCount == 0)
    }

    @Test(arguments: ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "localhost"])
    func areReachedWhereThatIsAllowed(_ host: String) throws {
        let server = try server()
        let request = request("http://\(host):\(server.port)/")
        #expect(try HTTPSender(allowsPrivateHosts: true, caFile: nil).send(request).status == 200)
    }

    /// Only 127.0.0.2 is admitted.
    private func sender(resolving addresses: String, port: UInt16) -> HTTPSender {
        HTTPSender(caFile: nil, admitting: { $0 == IPAddress("127.0.0.2") }, addresses: ["both.example:\(port):\(addresses)"])
    }

    @Test(arguments: ["127.0.0.1,127.0.0.2", "127.0.0.2,127.0.0.1", "127.0.0.1,127.0.0.3,[::1],127.0.0.2", "[::1],127.0.0.2"])
    func ofSeveralAddressesOnlyTheAdmittedAreTried(_ addresses: String) throws {
        let refused = try servers.start(address: "127.0.0.1") { peer, _ in peer.answer("500 Wrong") }
        let admitted = try servers.start(address: "127.0.0.2", port: refused.port) { peer, _ in
            while peer.readRequest() != nil { peer.answer("200 OK") }
        }
        let sender = sender(resolving: addresses, port: refused.port)
        for _ in 1...3 { #expect(try sender.send(request("http://both.example:\(refused.port)/")).status == 200) }
        #expect(refused.connectionCount == 0)
        #expect(admitted.connectionCount == 1)
    }

    @Test func whereTheAdmittedDoesNotAnswerTheOthersAreNotTried() throws {
        let refused = try servers.start(address: "127.0.0.1") { peer, _ in peer.answer("500 Wrong") }
        let sender = sender(resolving: "127.0.0.2,127.0.0.1", port: refused.port)
        let error = try error(of: request("http://both.example:\(refused.port)/"), sender: sender)
        guard case .notConnected = error else { throw TestFailure("\(error)") }
        #expect(refused.connectionCount == 0)
    }

    @Test func aHostWithOthersOnlyIsRefusedByName() throws {
        let sender = sender(resolving: "127.0.0.1", port: 80)
        #expect(try error(of: request("http://both.example/"), sender: sender) == .privateHost(host: "both.example", address: "127.0.0.1"))
    }
}
