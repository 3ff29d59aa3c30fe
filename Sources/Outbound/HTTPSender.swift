internal import CCurl
internal import Glibc

/// Sends requests, one after another, over connections that it keeps.
///
/// Blocking, and for one thread at a time.
///
/// Where a request goes is checked at the last moment at which it can be: when libcurl asks for a socket for an address
/// (CURLOPT_OPENSOCKETFUNCTION), which it connects to that address and no other. So what a name resolved to before, or resolves to
/// later, does not matter (DNS rebinding), nor how an address was written, and not even a SYN goes to one that is refused
/// (CURLOPT_PREREQFUNCTION comes after the connection). A host with addresses of both kinds is reached at its public ones. A
/// connection that is kept was checked when it was made.
package final class HTTPSender {
    private let caFile: String?
    private let admitting: ((IPAddress) -> Bool)?
    private let addresses: [String]
    private let handle = EasyHandle()

    /// - Parameters:
    ///   - allowsPrivateHosts: whether to send to addresses that are not public (``AddressRule``).
    ///   - caFile: the authorities to believe, in PEM, in place of the system's.
    package convenience init(allowsPrivateHosts: Bool, caFile: String?) {
        self.init(caFile: caFile, admitting: allowsPrivateHosts ? nil : { AddressRule.isPublic($0) })
    }

    /// - Parameters:
    ///   - admitting: whether an address may be connected to; nil for all.
    ///   - addresses: what names resolve to, as CURLOPT_RESOLVE has it.
    init(caFile: String?, admitting: ((IPAddress) -> Bool)?, addresses: [String] = []) {
        self.caFile = caFile
        self.admitting = admitting
        self.addresses = addresses
    }

    /// Sends a request and waits for its answer, for the request's `timeout` at most.
    ///
    /// Of the answer's body 64 KiB are read. What is longer is left, and the connection closed: the status has been said.
    package func send(_ request: HTTPRequest) throws(OutboundError) -> HTTPAnswer {
        try request.validateHead()
        let url = try TargetURL(web: request.url)
        let addresses = try TextList(addresses)
        let lines = try TextList(Self.lines(request.headers))
        try handle.prepare(protocols: "http,https", timeout: request.timeout, caFile: caFile)
        try handle.set(CURLOPT_CURLU, pointer: UnsafeRawPointer(url.handle))
        try handle.set(CURLOPT_RESOLVE, pointer: addresses.first)
        try handle.set(CURLOPT_HTTPHEADER, pointer: lines.first)
        // One request at a time has nothing from HTTP/2.
        try handle.set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        try handle.set(CURLOPT_HTTP09_ALLOWED, false)
        try handle.set(CURLOPT_FOLLOWLOCATION, false)
        try handle.set(CURLOPT_MAXCONNECTS, Self.connectionLimit)
        try handle.set(CURLOPT_USERAGENT, "slotstream-observer")
        let record = TransferRecord(timeout: request.timeout, guarding: admitting)
        let code = try request.body.withUnsafeBufferPointer { (body) throws(OutboundError) in
            try setMethod(request.method, body)
            return try handle.perform(record)
        }
        return try answer(code, record, host: url.host)
    }

    /// How many connections are kept, to as many hosts: the oldest is closed for one more.
    private static let connectionLimit = 8

    /// Nobody is to be left alone for longer: a server that says a year is mistaken.
    private static let retryAfterLimit = 86_400

    private static func lines(_ headers: [(name: String, value: String)]) -> [String] {
        // libcurl takes a name with nothing behind its colon as a header to leave out, and this form as one without a value.
        var lines = headers.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
        // Without waiting for a 100, and without a type that is not said.
        lines.append("Expect:")
        if !headers.contains(where: { $0.name.lowercased() == "content-type" }) { lines.append("Content-Type:") }
        return lines
    }

    private func setMethod(_ method: String, _ body: UnsafeBufferPointer<UInt8>) throws(OutboundError) {
        switch method {
        case "HEAD": try handle.set(CURLOPT_NOBODY, true)
        case "GET" where body.isEmpty: try handle.set(CURLOPT_HTTPGET, true)
        default:
            try handle.set(CURLOPT_POST, true)
            try handle.set(CURLOPT_POSTFIELDSIZE_LARGE, size: body.count)
            // A body of no bytes has no address: without any, libcurl would ask for one by callback.
            if body.isEmpty { try handle.set(CURLOPT_COPYPOSTFIELDS, "") } else { try handle.set(CURLOPT_POSTFIELDS, pointer: body.baseAddress) }
            try handle.set(CURLOPT_CUSTOMREQUEST, method)
        }
    }

    private func answer(_ code: CURLcode, _ record: TransferRecord, host: String) throws(OutboundError) -> HTTPAnswer {
        guard code == CURLE_OK || record.bodyWasLeft else {
            // libcurl says so of a line that does not end, until 8.5; since then it has a word of its own for that (100).
            let lineIsTooLong = [CURLE_OUT_OF_MEMORY.rawValue, 100].contains(code.rawValue) && handle.number(CURLINFO_REQUEST_SIZE) > 0
            if record.headIsTooLarge || lineIsTooLong { throw .answerTooLarge(limit: TransferRecord.byteLimit) }
            if code == CURLE_COULDNT_CONNECT, let refused = record.refused { throw .privateHost(host: host, address: "\(refused)") }
            throw handle.error(code, host: host)
        }
        let status = handle.number(CURLINFO_RESPONSE_CODE)
        if (300...399).contains(status) {
            let target = handle.text(CURLINFO_REDIRECT_URL).flatMap { try? TargetURL(web: $0).host }
            throw .redirected(status: status, host: target)
        }
        guard status >= 200 else { throw .unreadableAnswer("the status \(status) is none of an answer") }
        return HTTPAnswer(status: status, retryAfter: handle.header("Retry-After").flatMap(Self.retryAfter), excerpt: printable(record.excerpt))
    }

    /// A number of seconds, or a date of HTTP.
    private static func retryAfter(_ text: String) -> Duration? {
        if !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
            return .seconds(min(Int(text) ?? retryAfterLimit, retryAfterLimit))
        }
        let date = curl_getdate(text, nil)
        return date < 0 ? nil : .seconds(min(max(date - time(nil), 0), retryAfterLimit))
    }
}
