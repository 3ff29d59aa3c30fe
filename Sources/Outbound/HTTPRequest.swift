/// One request to a web server.
package struct HTTPRequest: Sendable {
    /// Of `http` or `https`, without a user name in it.
    package var url: String
    package var method: String
    /// In the order in which they are sent. `Host`, `Content-Length` and what else belongs to the connection are libcurl's.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    /// Of all, from the name's resolution to the end of the answer.
    package var timeout: Duration

    package init(url: String, method: String, headers: [(name: String, value: String)], body: [UInt8], timeout: Duration) {
        self.url = url
        self.method = method
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }

    /// Finds what can never be sent, without sending anything.
    /// - Throws: ``OutboundError/invalidURL(_:)``, ``OutboundError/invalidRequest(_:)``.
    package func validate() throws(OutboundError) {
        _ = try TargetURL(web: url)
        try validateHead()
    }

    /// - Throws: ``OutboundError/invalidRequest(_:)``.
    func validateHead() throws(OutboundError) {
        guard Self.isToken(method), method.utf8.count <= 32 else { throw .invalidRequest("the method is no word") }
        for (name, value) in headers {
            guard Self.isToken(name) else { throw .invalidRequest("a header has a name that no header can have") }
            guard !Self.connectionsOwn.contains(name.lowercased()) else {
                throw .invalidRequest("the header \(name) is the connection's own; remove the header")
            }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
                throw .invalidRequest("the header \(name) has a line break, or another control character, in its value")
            }
        }
    }

    /// What libcurl writes itself, or what changes where a request or its answer ends.
    private static let connectionsOwn: Set<String> = [
        "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    ]

    /// Source: RFC 9110, 5.6.2.
    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0.isASCIILetterOrDigit || "!#$%&'*+-.^_`|~".utf8.contains($0) }
    }
}

extension HTTPRequest: CustomStringConvertible {
    /// Without URL and headers, for both can be secret.
    package var description: String { "\(method) with \(body.count) bytes" }
}
