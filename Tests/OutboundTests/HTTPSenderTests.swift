import Glibc
import PrivateServers
import Testing

@testable import Outbound

@Suite("Requests and answers")
struct HTTPSenderTests {
    private let servers = ScriptedServers()
    private let sender = HTTPSender(allowsPrivateHosts: true, caFile: nil)

    /// A server that gives the same answer to each request.
    private func server(_ status: String, headers: [String] = [], body: String = "") throws -> ScriptedServer {
        try servers.start { peer, _ in
            while peer.readRequest() != nil { peer.answer(status, headers: headers, body: body) }
        }
    }

    @Test func aHundredRequestsTakeOneConnection() throws {
        let server = try server("200 OK", body: "thanks")
        for number in 1...100 {
            let answer = try sender.send(request(server.url, body: "\(number)"))
            #expect(answer == HTTPAnswer(status: 200, retryAfter: nil, excerpt: "thanks"))
        }
        #expect(server.connectionCount == 1)
        #expect(server.requests.map { String(decoding: $0.body, as: UTF8.self) } == (1...100).map { "\($0)" })
    }

    @Test(arguments: ["POST", "PUT", "PATCH", "DELETE", "GET", "QUERY"], ["", #"{"id":"1"}"#])
    func aRequestIsWhatWasAsked(_ method: String, _ body: String) throws {
        let server = try server("200 OK")
        let headers = [("Content-Type", "application/json"), ("X-Signed", "t=1,v1=ab: c"), ("X-Empty", ""), ("X-Text", "é")]
        _ = try sender.send(request("\(server.url)a/b?c=d&e=%20#f", method: method, headers: headers, body: body))
        let sent = try #require(server.requests.first)
        #expect(sent.line == "\(method) /a/b?c=d&e=%20 HTTP/1.1")
        #expect(sent.body == Array(body.utf8))
        var expected: [String: String] = [
            "Host": "127.0.0.1:\(server.port)", "User-Agent": "slotstream-observer", "Accept": "*/*", "Content-Type": "application/json",
            "X-Signed": "t=1,v1=ab: c", "X-Empty": "", "X-Text": "é",
        ]
        if method != "GET" || !body.isEmpty { expected["Content-Length"] = "\(body.utf8.count)" }
        #expect(Dictionary(sent.headers.map { ($0.name, $0.value) }) { $0 + "; " + $1 } == expected)
    }

    @Test func theAnswerToHEADHasNoBody() throws {
        let server = try servers.start { peer, _ in
            while peer.readRequest() != nil { peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") }
        }
        for _ in 1...2 { #expect(try sender.send(request(server.url, method: "HEAD", body: "")).status == 200) }
        #expect(server.connectionCount == 1)
    }

    @Test func aRequestKnowsNothingOfTheOneBefore() throws {
        let server = try servers.start { peer, _ in
            while let request = peer.readRequest() {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (request.line.hasPrefix("HEAD") ? "" : "ok"))
            }
        }
        for method in ["HEAD", "POST", "GET", "PUT", "HEAD", "GET", "POST"] {
            let body = ["POST", "PUT"].contains(method) ? "body of \(method)" : ""
            let answer = try sender.send(request(server.url, method: method, headers: body.isEmpty ? [("X-A", "b")] : [], body: body))
            #expect(answer.excerpt == (method == "HEAD" ? "" : "ok"))
            let sent = try #require(server.requests.last)
            #expect(sent.line == "\(method) / HTTP/1.1")
            #expect(String(decoding: sent.body, as: UTF8.self) == body)
            #expect(sent["X-A"] == (body.isEmpty ? "b" : nil))
        }
        #expect(server.connectionCount == 1)
    }

    @Test func aLargeBodyIsNotAskedForFirst() throws {
        let server = try server("200 OK")
        let body = String(repeating: "0123456789abcdef", count: 131_072)
        #expect(try sender.send(request(server.url, body: body)).status == 200)
        let sent = try #require(server.requests.first)
        #expect(sent.body == Array(body.utf8))
        #expect(sent["Expect"] == nil)
    }

    @Test func withoutATypeNoneIsMadeUp() throws {
        let server = try server("200 OK")
        _ = try sender.send(request(server.url, headers: []))
        #expect(server.requests.first?["Content-Type"] == nil)
    }

    @Test(arguments: [200, 201, 202, 299, 400, 401, 404, 410, 429, 499, 500, 503, 599])
    func eachOtherStatusIsAnAnswer(_ status: Int) throws {
        let server = try server("\(status) Word", body: "why")
        #expect(try sender.send(request(server.url)) == HTTPAnswer(status: status, retryAfter: nil, excerpt: "why"))
    }

    @Test func aStatusWithoutABodyIsAnAnswer() throws {
        let server = try servers.start { peer, _ in
            while peer.readRequest() != nil { peer.send("HTTP/1.1 204 No Content\r\n\r\n") }
        }
        for _ in 1...2 { #expect(try sender.send(request(server.url)).status == 204) }
        #expect(server.connectionCount == 1)
    }

    @Test(
        arguments: [
            ("http://user:secret@elsewhere.example:8080/secret?a=b", "elsewhere.example"), ("https://elsewhere.example", "elsewhere.example"),
            ("/secret", "127.0.0.1"), ("//other.example/", "other.example"), ("ftp://x.example/", nil), ("", nil), ("http://", nil), (nil, nil),
        ] as [(String?, String?)])
    func aRedirectIsNotFollowed(_ location: String?, _ host: String?) throws {
        for status in [300, 301, 302, 303, 304, 307, 308] {
            let server = try server("\(status) Word", headers: location.map { ["Location: \($0)"] } ?? [])
            let error = try error(of: request(server.url), sender: sender)
            // Whether a host with a user name is told does not matter; the name and the path never are.
            if location?.contains("user") == true {
                #expect(!error.description.contains("secret") && !error.description.contains("user:"))
            } else {
                #expect(error == .redirected(status: status, host: host))
            }
            #expect(error.isPermanent)
            #expect(server.requests.count == 1)
        }
    }

    @Test(
        arguments: [
            ("0", 0...0), ("7", 7...7), ("120", 120...120), ("86400", 86_400...86_400), ("86401", 86_400...86_400),
            ("99999999999999999999", 86_400...86_400), ("Fri, 31 Dec 2100 23:59:59 GMT", 86_400...86_400),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 0...0), ("Sunday, 06-Nov-94 08:49:37 GMT", 0...0), ("soon", nil), ("-1", nil), ("", nil),
            ("1.5", nil), ("20; q=1", nil),
        ] as [(String, ClosedRange<Int>?)])
    func theServerSaysWhenToComeBack(_ value: String, _ seconds: ClosedRange<Int>?) throws {
        let server = try server("429 Too Many Requests", headers: ["Retry-After: \(value)"])
        let answer = try sender.send(request(server.url))
        #expect(answer.status == 429)
        #expect(answer.retryAfter == seconds.map { .seconds($0.lowerBound) })
    }

    @Test func aDateToComeBackIsCountedFromNow() throws {
        let now = time(nil)
        let text = MailDate.text(Int64(now + 3_000)).replacing("+0000", with: "GMT")
        let server = try server("503 Service Unavailable", headers: ["Retry-After: \(text)"])
        let after = try #require(try sender.send(request(server.url)).retryAfter)
        #expect(after <= .seconds(3_000) && after > .seconds(2_000))
    }

    @Test func theNextAnswerKnowsNothingOfTheOneBefore() throws {
        let server = try servers.start { peer, _ in
            _ = peer.readRequest()
            peer.answer("429 Too Many Requests", headers: ["Retry-After: 7", "Set-Cookie: a=b"], body: "first")
            _ = peer.readRequest()
            peer.answer("500 Internal Server Error")
        }
        #expect(try sender.send(request(server.url)).retryAfter == .seconds(7))
        #expect(try sender.send(request(server.url)) == HTTPAnswer(status: 500, retryAfter: nil, excerpt: ""))
        #expect(server.requests.last?["Cookie"] == nil)
        #expect(server.connectionCount == 1)
    }

    @Test func anExcerptIsShortAndOnOneLine() throws {
        let long = try server("500 Word", body: String(repeating: "x", count: 2_000))
        #expect(try sender.send(request(long.url)).excerpt == String(repeating: "x", count: 500))
        let wild = try server("500 Word", body: "\r\n a\nb\u{1b}[31mc\u{0}d\u{85}e\u{2028}f é \t")
        #expect(try sender.send(request(wild.url)).excerpt == "a b [31mc d e f é")
        let bytes = try servers.start { peer, _ in
            _ = peer.readRequest()
            peer.send(Array("HTTP/1.1 500 Word\r\nContent-Length: 4\r\n\r\n".utf8) + [0xff, 0x41, 0xc3, 0x28])
        }
        #expect(try sender.send(request(bytes.url)).excerpt == "\u{fffd}A\u{fffd}(")
    }

    @Test func aConnectionThatTheServerClosedMeanwhileIsMadeAnew() throws {
        let server = try servers.start { peer, _ in
            _ = peer.readRequest()
            peer.answer("200 OK")
        }
        for _ in 1...20 { #expect(try sender.send(request(server.url)).status == 200) }
        #expect(server.connectionCount == 20)
    }

    @Test(arguments: [Duration.seconds(Int64.max), .seconds(86_400 * 365), .milliseconds(Int32.max)])
    func aTimeWithoutEndIsOneOfWeeks(_ timeout: Duration) throws {
        let server = try server("200 OK")
        #expect(try sender.send(request(server.url, timeout: timeout)).status == 200)
    }

    @Test(arguments: [Duration.zero, .seconds(-1), .seconds(Int64.min), .nanoseconds(1)])
    func noTimeIsNotTimeWithoutEnd(_ timeout: Duration) throws {
        let silent = try servers.start { peer, _ in peer.waitForEnd() }
        #expect(try !error(of: request(silent.url, timeout: timeout), sender: sender).isPermanent)
    }

    @Test func aProxyOfTheEnvironmentIsNotAsked() throws {
        let proxy = try server("200 OK", body: "proxy")
        let server = try server("200 OK", body: "server")
        for name in ["http_proxy", "all_proxy", "ALL_PROXY"] { setenv(name, proxy.url, 1) }
        defer { for name in ["http_proxy", "all_proxy", "ALL_PROXY"] { unsetenv(name) } }
        #expect(try HTTPSender(allowsPrivateHosts: true, caFile: nil).send(request(server.url)).excerpt == "server")
        #expect(proxy.connectionCount == 0)
    }

    @Test(
        arguments: [
            ("X-A", "b\r\nX-C: d"), ("X-A", "b\nX-C: d"), ("X-A", "b\rc"), ("X-A", "b\u{0}c"), ("X-A", "\u{7f}"), ("X-A\r\nX-C", "d"), ("X A", "b"),
            ("X-A:", "b"), ("", "b"), ("Ü", "b"), ("Content-Length", "1"), ("transfer-encoding", "chunked"), ("Host", "elsewhere.example"),
            ("Connection", "close"), ("Expect", "100-continue"),
        ])
    func noHeaderBreaksTheRequest(_ name: String, _ value: String) throws {
        let server = try server("200 OK")
        let request = request(server.url, headers: [(name, value)])
        for error in [try error(of: request, sender: sender), try outboundError(of: request.validate)] {
            guard case .invalidRequest(let text) = error else { throw TestFailure("\(error)") }
            #expect(!text.contains("d") || !text.contains("X-C: d"))
            #expect(error.isPermanent)
        }
        #expect(server.connectionCount == 0)
    }

    @Test(arguments: ["", "GET /", "GET\r\nX: y", "Ü", String(repeating: "A", count: 33)])
    func aMethodIsAWord(_ method: String) throws {
        let error = try outboundError(of: request("http://example.com/", method: method).validate)
        #expect(error == .invalidRequest("the method is no word"))
    }

    @Test(arguments: [
        "", "x", "/", "http://", "http:// /", "http://a b/", "http://a\u{0}b/", "http://a\r\nb/", "http://a/\nb", "http://[::1/", "http://a:b/",
        "http://a:99999/", "http://user@a/", "http://user:secret@a/", "http://:secret@a/", "https://@a/", "ftp://a/", "file:///etc/passwd",
        "file://localhost/etc/passwd", "gopher://a/", "smtp://a/", "dict://a/", "javascript:alert(1)", "//a/", "a.example/", "http://%00/",
        "http://a%0d%0a/", "http://①②⑦.0.0.1/", "http://127。0。0。1/", "http://exämple.com/",
    ])
    func whatIsNoURLOfTheWebIsRefused(_ url: String) throws {
        for error in [try error(of: request(url), sender: sender), try outboundError(of: request(url).validate)] {
            guard case .invalidURL(let text) = error else { throw TestFailure("\(error)") }
            #expect(!text.contains("secret") && !text.contains("passwd"))
            #expect(error.isPermanent)
        }
    }
}
