import CoreMetrics
import Pipeline
import Testing

@testable import Operations

@Suite(.timeLimit(.minutes(1))) struct OperationsServerTests {
    @Test func livenessFollowsTheLoop() async throws {
        try await ServerFixture.serving { fixture, address in
            try await expectAnswer(.live, at: address, #"200 {"live":true}"#)
            fixture.status.ready = false
            try await expectAnswer(.live, at: address, #"200 {"live":true}"#)
            fixture.status.live = false
            fixture.status.reasons = ["the loop that publishes to NATS has not turned for 31 s"]
            try await expectAnswer(
                .live, at: address, #"503 {"live":false,"reasons":["the loop that publishes to NATS has not turned for 31 s"]}"#)
        }
    }

    @Test func readinessFollowsBothServers() async throws {
        try await ServerFixture.serving { fixture, address in
            try await expectAnswer(.ready, at: address, #"200 {"role":"active"}"#)
            fixture.status.role = .standby
            try await expectAnswer(.ready, at: address, #"200 {"role":"standby"}"#)
            fixture.status.role = .active
            fixture.status.ready = false
            fixture.status.reasons = ["no connection to NATS", "a \"quoted\" reason/1"]
            try await expectAnswer(
                .ready, at: address,
                #"503 {"ready":false,"reasons":["no connection to NATS","a \"quoted\" reason/1"],"role":"active"}"#)
        }
    }

    @Test func statusIsTheWholeObject() async throws {
        try await ServerFixture.serving { fixture, address in
            fixture.status.reasons = ["é 🐘"]
            let answer = try await HealthProbe.get(.status, from: address, timeout: .seconds(20))
            #expect(answer.isPositive)
            let shown = try StreamerStatus(json: answer.body)
            #expect(shown == fixture.status)
            let raw = try await response("GET /status HTTP/1.1\r\nConnection: close\r\n\r\n", address)
            #expect(raw.lowercased().contains("\r\ncontent-type: application/json\r\n"))
            #expect(raw.lowercased().contains("\r\ncache-control: no-store\r\n"))
        }
    }

    @Test func metricsAreRefreshedAndRendered() async throws {
        try await ServerFixture.serving { fixture, address in
            fixture.registry.makeCounter(label: "a", dimensions: [("x", "é")]).increment(by: 3)
            let answer = try await HealthProbe.get(.metrics, from: address, timeout: .seconds(20))
            #expect(answer.statusCode == 200)
            let scrape = try Scrape(String(decoding: answer.body, as: UTF8.self))
            #expect(scrape.value("a", ["x": "é"]) == 3)
            #expect(fixture.refreshes == 1)
            let raw = try await response("GET /metrics?x=y HTTP/1.1\r\nConnection: close\r\n\r\n", address)
            #expect(raw.lowercased().contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"))
            #expect(fixture.refreshes == 2)
        }
    }

    /// What the browser is told to allow, and that what it would have to allow is not there.
    @Test func thePageTakesEverythingFromHere() async throws {
        try await ServerFixture.serving { _, address in
            for (path, type) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
                let raw = try await response("GET \(path) HTTP/1.1\r\nConnection: close\r\n\r\n", address)
                #expect(raw.hasPrefix("HTTP/1.1 200 ") && raw.lowercased().contains("\r\ncontent-type: \(type); charset=utf-8\r\n"))
                #expect(raw.contains("default-src 'none'; script-src 'self'") && !raw.contains("unsafe-"))
                #expect(!raw.contains(" style=\"") && !raw.contains("<style") && !raw.contains("onclick") && !raw.contains("innerHTML"))
            }
            let raw = try await response("GET /recent HTTP/1.1\r\nConnection: close\r\n\r\n", address)
            #expect(raw.contains(#""schema":"slotstream.recent/1""#))
        }
    }

    @Test(arguments: ["/index.html", "/page.js.map", "/livez/", "/healthz", "/status.json", "//livez", "/%6civez", "/metrics/../status", "*"])
    func anythingElseIsNotFound(_ path: String) async throws {
        try await ServerFixture.serving { _, address in
            let raw = try await response("GET \(path) HTTP/1.1\r\nConnection: close\r\n\r\n", address)
            #expect(raw.hasPrefix("HTTP/1.1 404 "))
        }
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    func everyOtherMethodIsNotAllowed(_ method: String) async throws {
        try await ServerFixture.serving { fixture, address in
            for endpoint in OperationsEndpoint.allCases {
                let raw = try await response(
                    "\(method) \(endpoint.rawValue) HTTP/1.1\r\nConnection: close\r\n\r\n", address)
                #expect(raw.hasPrefix("HTTP/1.1 405 "))
                #expect(raw.lowercased().contains("\r\nallow: get, head\r\n"))
            }
            #expect(fixture.refreshes == 0)
        }
    }

    /// The same status and headers, and no body: what follows is the next answer.
    @Test func headIsAnsweredAsGetWithoutTheBody() async throws {
        try await ServerFixture.serving { _, address in
            func head(_ raw: String) -> [String] {
                (raw.split(separator: "\r\n\r\n", maxSplits: 1).first ?? "").split(separator: "\r\n").map { $0.lowercased() }.filter {
                    // Another second may have begun; the scrape counts itself.
                    !$0.hasPrefix("date:") && !$0.hasPrefix("content-length:")
                }.sorted()
            }
            for endpoint in OperationsEndpoint.allCases {
                let get = try await response("GET \(endpoint.rawValue) HTTP/1.1\r\nConnection: close\r\n\r\n", address)
                let raw = try await response("HEAD \(endpoint.rawValue) HTTP/1.1\r\nConnection: close\r\n\r\n", address)
                #expect(get.hasPrefix("HTTP/1.1 200 "))
                // The fixture counts nothing.
                #expect(get.hasSuffix("\r\n\r\n") == (endpoint == .metrics))
                #expect(raw.hasSuffix("\r\n\r\n"), "\(raw)")
                #expect(head(raw) == head(get))
            }
            let connection = try RawConnection(port: address.port)
            #expect(connection.send("HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            let both = try await connection.receive { $0.hasSuffix(#"{"live":true}"#) }
            #expect(both?.contains("{\"schema\"") == false)
        }
    }

    @Test func oneConnectionServesManyRequests() async throws {
        try await ServerFixture.serving { _, address in
            let connection = try RawConnection(port: address.port)
            for _ in 0..<3 {
                #expect(connection.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"))
                let answer = try await connection.receive { $0.hasSuffix(#"{"live":true}"#) }
                #expect(answer?.hasPrefix("HTTP/1.1 200 ") == true)
            }
            // A small body is read over; the request after it is its own.
            #expect(connection.send("POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd"))
            #expect(connection.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            let both = try await connection.receive { $0.hasSuffix(#"{"role":"active"}"#) }
            #expect(both?.hasPrefix("HTTP/1.1 405 ") == true)
        }
    }

    @Test(arguments: ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
    func aLargeBodyIsRefusedAndCutOff(_ header: String) async throws {
        try await ServerFixture.serving { _, address in
            let raw = try await response("GET /livez HTTP/1.1\r\n\(header)\r\n\r\n", address)
            #expect(raw.hasPrefix("HTTP/1.1 413 "))
            try await expectAnswer(.live, at: address, #"200 {"live":true}"#)
        }
    }

    @Test func largeHeadersAreRefused() async throws {
        try await ServerFixture.serving { _, address in
            let connection = try RawConnection(port: address.port)
            connection.send("GET /livez HTTP/1.1\r\nX: \(String(repeating: "x", count: 64 * 1024))\r\n\r\n")
            let answer = try #require(try await connection.receive())
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 400 "))
            try await expectAnswer(.live, at: address, #"200 {"live":true}"#)
        }
    }

    @Test func garbageIsSurvived() async throws {
        try await ServerFixture.serving { _, address in
            let request = Array("GET /livez HTTP/1.1\r\nContent-Length: 0\r\n\r\n".utf8)
            for index in request.indices {
                for value in [0, 0x0A, 0x0D, 0x20, 0x3A, 0x7F, 0xFF] as [UInt8] {
                    var changed = request
                    changed[index] = value
                    let connection = try RawConnection(port: address.port)
                    connection.send(changed)
                    connection.endSending()
                    // Answered or refused; whatever it is, the connection ends.
                    let answer = try await connection.receive()
                    #expect(answer != nil, "byte \(index) = \(value)")
                }
            }
            try await expectAnswer(.live, at: address, #"200 {"live":true}"#)
        }
    }

    /// Silent ones, and such as have said the beginning of a request: three times as many as there is room for, and all stay.
    @Test(arguments: ["", "GET /livez HTTP/1.1\r\nHost: local"])
    func idleConnectionsKeepNoProbeOut(_ said: String) async throws {
        try await ServerFixture.serving { _, address in
            var idle: [RawConnection] = []
            for _ in 0..<200 {
                let connection = try RawConnection(port: address.port)
                connection.send(said)
                idle.append(connection)
                let answer = try await HealthProbe.get(.live, from: address, timeout: .seconds(20))
                #expect(answer.isPositive)
            }
            // Those that came first made room; those that came last are still there.
            let first = try await idle[0].receive()
            #expect(first == "")
            let last = try #require(idle.last)
            last.send(said.isEmpty ? "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" : "host\r\n\r\n")
            let answer = try await last.receive { $0.hasSuffix("}") }
            #expect(answer?.hasPrefix("HTTP/1.1 200 ") == true)
        }
    }

    /// Nor does one live by what it says a little of at a time, or by an answer that it does not take.
    @Test(arguments: [
        "", "GET /live", "GET /livez HTTP/1.1\r\nX: y\r\n", "GET /livez HTTP/1.1\r\n\r\n",
        "POST /livez HTTP/1.1\r\nContent-Length: 4000\r\n\r\n",
    ])
    func aSlowClientLosesItsConnection(_ said: String) async throws {
        // Whoever asks has the time to.
        let isWhole = said.hasSuffix("\r\n\r\n")
        try await ServerFixture.serving(exchangeTime: isWhole ? .seconds(2) : .milliseconds(500)) { _, address in
            let connection = try RawConnection(port: address.port)
            connection.send(said)
            let trickle = Task {
                while !said.isEmpty, !isWhole || said.hasPrefix("POST"), !Task.isCancelled, connection.send("x") {
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            let answer = try await connection.receive()
            trickle.cancel()
            #expect(answer?.isEmpty == !isWhole)
        }
    }

    @Test(arguments: [
        "localhost", "localhost:7432", "LOCALHOST.", "127.0.0.1:7432", "[::1]:7432", "10.1.2.3", "slotstream.localhost", "",
    ])
    func aServerOnLoopbackAnswersToItsOwnNames(_ host: String) async throws {
        try await ServerFixture.serving { _, address in
            let raw = try await response("GET /status HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n", address)
            #expect(raw.hasPrefix("HTTP/1.1 200 "))
        }
    }

    /// A page in a browser can have its own name resolve to this machine.
    @Test(arguments: ["evil.example", "evil.example:7432", "127.0.0.1.evil.example", "localhost.evil.example", "notlocalhost"])
    func aServerOnLoopbackAnswersToNoOtherName(_ host: String) async throws {
        try await ServerFixture.serving { _, address in
            for endpoint in OperationsEndpoint.allCases {
                let raw = try await response(
                    "GET \(endpoint.rawValue) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n", address)
                #expect(raw.hasPrefix("HTTP/1.1 421 "))
                #expect(!raw.contains("fraiseql_events"))
            }
        }
    }

    @Test func aServerThatListensElsewhereHasWhateverNameOthersGiveIt() {
        #expect(HostRule(listenHost: "0.0.0.0").allows("slotstream.default.svc:7432"))
        #expect(HostRule(listenHost: "10.0.0.1").allows("metrics.internal"))
        #expect(HostRule(listenHost: "localhost.").allows("localhost"))
        #expect(!HostRule(listenHost: "127.9.9.9").allows("metrics.internal"))
        #expect(!HostRule(listenHost: "::1").allows("metrics.internal"))
    }

    @Test func concurrentScrapesSeeCountersThatOnlyGrow() async throws {
        try await ServerFixture.serving { fixture, address in
            let counter = fixture.registry.makeCounter(label: "a", dimensions: [])
            let histogram = fixture.registry.makeTimer(label: "h", dimensions: [])
            let counting = Task {
                var count: Int64 = 0
                while !Task.isCancelled {
                    counter.increment(by: 1)
                    histogram.recordNanoseconds(count % 20_000_000_000)
                    count += 1
                    if count % 256 == 0 { await Task.yield() }
                }
                return count
            }
            try await withThrowingTaskGroup(of: Void.self) { scrapers in
                for _ in 0..<4 {
                    scrapers.addTask {
                        var last = 0.0
                        for _ in 0..<25 {
                            let answer = try await HealthProbe.get(.metrics, from: address, timeout: .seconds(20))
                            let scrape = try Scrape(String(decoding: answer.body, as: UTF8.self))
                            let now = try #require(scrape.value("a"))
                            #expect(now >= last)
                            last = now
                        }
                    }
                }
                try await scrapers.waitForAll()
            }
            counting.cancel()
            let counted = Double(await counting.value)
            let scrape = try Scrape(fixture.registry.render())
            #expect(scrape.value("a") == counted)
            #expect(scrape.value("h_count") == counted)
            #expect(fixture.refreshes == 100)
        }
    }

    @Test func shutdownDoesNotWaitForIdleClients() async throws {
        let clock = ContinuousClock()
        var began = clock.now
        var idle: [RawConnection] = []
        try await ServerFixture.serving { _, address in
            let silent = try RawConnection(port: address.port)
            let half = try RawConnection(port: address.port)
            half.send("GET /livez HTT")
            let kept = try RawConnection(port: address.port)
            kept.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let answer = try await kept.receive { $0.hasSuffix("}") }
            #expect(answer != nil)
            idle = [silent, half, kept]
            began = clock.now
        }
        #expect(clock.now - began < .seconds(30))
        for connection in idle {
            let rest = try await connection.receive()
            #expect(rest == "")
        }
    }

    @Test func nothingListensAfterShutdown() async throws {
        var port = 0
        try await ServerFixture.serving { _, address in port = address.port }
        #expect(throws: RawConnection.Failure.self) { try RawConnection(port: port) }
    }

    @Test func cancellationEndsItQuietly() async throws {
        let (addresses, found) = AsyncStream.makeStream(of: Int.self)
        let server = try ServerFixture().server { _, port in found.yield(port) }
        let task = Task { try await server.run() }
        for await _ in addresses { break }
        task.cancel()
        try await task.value
    }

    @Test func aPortInUseIsNamedWithItsRemedy() async throws {
        let (listener, port) = try RawConnection.listener()
        let error = await #expect(throws: OperationsError.self) {
            try await ServerFixture().server(port: port).run()
        }
        #expect(error == .listenFailed(address: "127.0.0.1:\(port)", reason: "the address is in use"))
        #expect(error.map { "\($0)" }?.contains("set http.listen") == true)
        withExtendedLifetime(listener) {}
    }

    @Test(arguments: [-1, 65536, 70_000, Int.max])
    func aPortOutsideSixteenBitsIsRefused(_ port: Int) async throws {
        let error = await #expect(throws: OperationsError.self) {
            try await ServerFixture().server(port: port).run()
        }
        #expect(error == .listenFailed(address: "127.0.0.1:\(port)", reason: "a port is 0 to 65535"))
    }

    /// With the dot at its end no search domain is tried.
    @Test(arguments: ["203.0.113.7", "256.256.256.256.", ""])
    func anAddressThatIsNotHereIsRefused(_ host: String) async throws {
        let error = await #expect(throws: OperationsError.self) {
            try await ServerFixture().server(host: host).run()
        }
        guard case .listenFailed(let address, let reason) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(address == "\(host):0")
        #expect(!reason.isEmpty)
    }

    /// - Parameter expected: The status code, a space, the body.
    private func expectAnswer(
        _ endpoint: OperationsEndpoint, at address: (host: String, port: Int), _ expected: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let answer = try await HealthProbe.get(endpoint, from: address, timeout: .seconds(20))
        let text = "\(answer.statusCode) \(String(decoding: answer.body, as: UTF8.self))"
        #expect(text == expected, sourceLocation: sourceLocation)
    }

    private func response(_ request: String, _ address: (host: String, port: Int)) async throws -> String {
        let connection = try RawConnection(port: address.port)
        connection.send(request)
        return try #require(try await connection.receive())
    }
}
