import Testing

@testable import Operations

@Suite struct HTTPAnswerTests {
    private let whole = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\ncontent-type: text/plain\r\n\r\nno"

    @Test func readsAWholeResponse() {
        #expect(HTTPAnswer(Array(whole.utf8)) == .complete(statusCode: 503, body: Array("no".utf8)))
    }

    @Test func everyStrictPrefixIsIncomplete() {
        for count in 0..<whole.utf8.count {
            #expect(HTTPAnswer(Array(whole.utf8.prefix(count))) == .incomplete)
        }
    }

    @Test func everySingleByteChangeIsReadOrRefused() {
        let bytes = Array(whole.utf8)
        for index in bytes.indices {
            for value in UInt8.min...UInt8.max {
                var changed = bytes
                changed[index] = value
                _ = HTTPAnswer(changed)
            }
        }
    }

    @Test func withoutALengthTheBodyEndsWithTheConnection() {
        #expect(
            HTTPAnswer(Array("HTTP/1.0 200 OK\r\n\r\nyes".utf8)) == .complete(statusCode: 200, body: Array("yes".utf8)))
    }

    @Test func leavesOutWhatComesAfterTheBody() {
        #expect(HTTPAnswer(Array((whole + "more").utf8)) == .complete(statusCode: 503, body: Array("no".utf8)))
    }

    @Test(arguments: [
        "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 999 x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ])
    func refusesWhatIsNoSuchResponse(_ text: String) {
        guard case .invalid = HTTPAnswer(Array(text.utf8)) else {
            Issue.record("read as \(HTTPAnswer(Array(text.utf8)))")
            return
        }
    }
}
