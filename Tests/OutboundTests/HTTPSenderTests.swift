import Testing

@testable import Outbound

@Suite("Requests and answers")
struct HTTPSenderTests {
    @Test func aHundredRequestsTakeOneConnection() throws {
        let server = try ScriptedServer { peer, _ in
            while peer.readRequest() != nil { peer.answer("200 OK", body: "thanks") }
        }
        let sender = HTTPSender(allowsPrivateHosts: true, caFile: nil)
        for number in 1...100 {
            let answer = try sender.send(request(server.url, body: "\(number)"))
            #expect(answer == HTTPAnswer(status: 200, retryAfter: nil, excerpt: "thanks"))
        }
        #expect(server.connectionCount == 1)
        #expect(server.requests.map { String(decoding: $0.body, as: UTF8.self) } == (1...100).map { "\($0)" })
    }
}
