import PrivateServers
import Testing

@testable import Outbound

/// A request as the worker sends it.
func request(
    _ url: String, method: String = "POST", headers: [(name: String, value: String)] = [("Content-Type", "application/json")],
    body: String = "{}", timeout: Duration = .seconds(30)
) -> HTTPRequest {
    HTTPRequest(url: url, method: method, headers: headers, body: Array(body.utf8), timeout: timeout)
}

/// What `work` throws.
/// - Throws: ``TestFailure`` if that is nothing.
func outboundError(of work: () throws(OutboundError) -> Void) throws -> OutboundError {
    do throws(OutboundError) {
        try work()
    } catch {
        return error
    }
    throw TestFailure("nothing was thrown")
}

/// Sends to where private hosts are allowed.
func error(of request: HTTPRequest, sender: HTTPSender = HTTPSender(allowsPrivateHosts: true, caFile: nil)) throws -> OutboundError {
    try outboundError { () throws(OutboundError) in _ = try sender.send(request) }
}

/// A mail as the worker sends it.
func mail(to: [String] = ["somebody@example.com"], subject: String = "Order", text: String = "Paid.\n") -> Mail {
    // 29 November 2026, 09:05:07 UTC
    Mail(to: to, subject: subject, replyTo: nil, text: text, messageID: "1.2.3", date: 1_795_943_107)
}
