import Operations
import Testing

@Suite(.timeLimit(.minutes(1))) struct HealthProbeTests {
    @Test func nobodyListeningIsUnreachable() async throws {
        let port: Int
        do {
            let (_, free) = try RawConnection.listener()
            port = free
        }
        let error = await #expect(throws: OperationsError.self) {
            try await HealthProbe.get(.live, from: ("127.0.0.1", port), timeout: .seconds(30))
        }
        guard case .probeUnreachable(let address, let reason) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(address == "127.0.0.1:\(port)")
        #expect(reason.contains("refused"))
        #expect(error.map { "\($0)" }?.contains("http.listen") == true)
    }

    @Test func silenceEndsAtTheDeadline() async throws {
        let (listener, port) = try RawConnection.listener()
        let began = ContinuousClock.now
        await #expect(throws: OperationsError.probeTimedOut(address: "127.0.0.1:\(port)", timeout: .milliseconds(200)))
        {
            try await HealthProbe.get(.live, from: ("127.0.0.1", port), timeout: .milliseconds(200))
        }
        #expect(ContinuousClock.now - began < .seconds(30))
        withExtendedLifetime(listener) {}
    }

    @Test func anAnswerThatTricklesEndsAtTheDeadline() async throws {
        try await answering { connection in
            var isOpen = connection.send("HTTP/1.1 200 OK\r\nX: ")
            while isOpen {
                isOpen = connection.send("x")
                try await Task.sleep(for: .milliseconds(10))
            }
        } probing: { address in
            await #expect(
                throws: OperationsError.probeTimedOut(address: "127.0.0.1:\(address.port)", timeout: .milliseconds(300))
            ) {
                try await HealthProbe.get(.live, from: address, timeout: .milliseconds(300))
            }
        }
    }

    @Test func anAnswerCutOffIsUnreachable() async throws {
        try await answering {
            $0.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")
        } probing: { address in
            await #expect(
                throws: OperationsError.probeUnreachable(
                    address: "127.0.0.1:\(address.port)", reason: "the connection was cut off in the answer")
            ) {
                try await HealthProbe.get(.live, from: address, timeout: .seconds(30))
            }
        }
    }

    @Test func aStrangersAnswerIsNamed() async throws {
        try await answering {
            $0.send("SSH-2.0-OpenSSH_9.2\r\n")
        } probing: { address in
            await #expect(
                throws: OperationsError.probeAnswerInvalid(
                    address: "127.0.0.1:\(address.port)", reason: "not HTTP/1.1")
            ) {
                try await HealthProbe.get(.live, from: address, timeout: .seconds(30))
            }
        }
    }

    @Test func anyStatusCodeIsAnAnswer() async throws {
        try await answering {
            $0.send("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}")
        } probing: { address in
            let answer = try await HealthProbe.get(.ready, from: address, timeout: .seconds(30))
            #expect(answer.statusCode == 503)
            #expect(answer.body == Array("{}".utf8))
            #expect(!answer.isPositive)
        }
    }

    @Test(arguments: [-1, 0, 65536, Int.max])
    func aPortOutsideSixteenBitsIsUnreachable(_ port: Int) async throws {
        await #expect(
            throws: OperationsError.probeUnreachable(address: "[::1]:\(port)", reason: "a port is 1 to 65535")
        ) {
            try await HealthProbe.get(.live, from: ("::1", port))
        }
    }

    @Test func theAddressForAllAddressesReachesThisMachine() async throws {
        try await ServerFixture.serving { _, address in
            let answer = try await HealthProbe.get(.live, from: ("0.0.0.0", address.port), timeout: .seconds(20))
            #expect(answer.isPositive)
        }
    }

    /// Accepts one connection, reads the request, lets `answer` say what it likes, closes.
    private func answering(
        _ answer: @escaping @Sendable (RawConnection) async throws -> Void,
        probing: ((host: String, port: Int)) async throws -> Void
    ) async throws {
        let (listener, port) = try RawConnection.listener()
        async let served: Void = {
            let connection = try await listener.accepted()
            _ = try await connection.receive { $0.hasSuffix("\r\n\r\n") }
            try await answer(connection)
        }()
        try await probing(("127.0.0.1", port))
        try await served
    }
}
