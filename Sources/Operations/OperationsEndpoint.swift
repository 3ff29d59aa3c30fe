/// A path that a running streamer answers over HTTP; GET only, and nothing behind it changes anything.
package enum OperationsEndpoint: String, CaseIterable, Sendable {
    /// 200 while the streamer's loop turns, else 503 with the reasons.
    case live = "/livez"
    /// 200 with the role when both servers are connected and the lag is within its limit, else 503 with the reasons.
    case ready = "/readyz"
    /// Prometheus text, format 0.0.4.
    case metrics = "/metrics"
    /// The object of `slotstream status --json`.
    case status = "/status"
    /// What happened in the last hour, as JSON.
    case recent = "/recent"
    /// The page that shows both to people, with its style and its script.
    case page = "/"
    case pageStyle = "/page.css"
    case pageScript = "/page.js"

    /// The page, and what only the page asks for.
    var isOfThePage: Bool {
        switch self {
        case .recent, .page, .pageStyle, .pageScript: true
        case .live, .ready, .metrics, .status: false
        }
    }
}
