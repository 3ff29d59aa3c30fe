@testable import Outbound

/// A request as the worker sends it.
func request(
    _ url: String, method: String = "POST", headers: [(name: String, value: String)] = [("Content-Type", "application/json")],
    body: String = "{}", timeout: Duration = .seconds(30)
) -> HTTPRequest {
    HTTPRequest(url: url, method: method, headers: headers, body: Array(body.utf8), timeout: timeout)
}
