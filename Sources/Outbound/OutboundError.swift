/// Everything that can go wrong between us and a web server or a mail server. Texts are the server's or libcurl's own; none holds
/// a password, a header or more of a URL than its host.
package enum OutboundError: Error, Sendable, Hashable {
    /// The time is over, and there was a connection. Whether the other side did it is unknown: a request may have been handled, a mail may
    /// have been sent.
    case timedOut
    /// The host's name has no address, or no name server says so now.
    case nameNotFound(host: String)
    /// Nobody takes the connection, or nobody says the name's address, within the time limit.
    case notConnected(String)
    /// A certificate that does not hold, or no TLS where it is wanted.
    case tls(String)
    /// The host has addresses of private networks only.
    case privateHost(host: String, address: String)
    /// No URL that can be sent to. The text does not repeat it: a URL can be a secret.
    case invalidURL(String)
    /// A method or a header that HTTP cannot carry.
    case invalidRequest(String)
    /// The server sends elsewhere, which is not followed; `host` is of where, nil if it does not say.
    case redirected(status: Int, host: String?)
    /// The head of the answer has more bytes than the limit.
    case answerTooLarge(limit: Int)
    /// What came is no answer of HTTP, or of SMTP.
    case unreadableAnswer(String)
    /// The connection ended before the answer did. Whether the other side did it is unknown.
    case cut(String)
    /// An address or an id that no mail can carry.
    case invalidMail(String)
    /// The mail server's own refusal: its code, and the text beside it.
    case mailRefused(code: Int, text: String)
    /// Anything else, by libcurl's own text.
    case failed(String)

    /// Whether the same again must fail again: nothing that waiting can bring.
    package var isPermanent: Bool {
        switch self {
        case .privateHost, .invalidURL, .invalidRequest, .redirected, .answerTooLarge, .invalidMail: true
        case .mailRefused(let code, _): code >= 500
        case .timedOut, .nameNotFound, .notConnected, .tls, .unreadableAnswer, .cut, .failed: false
        }
    }
}

extension OutboundError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .timedOut: "no answer within the time limit (the server may have acted nevertheless)"
        case .nameNotFound(let host): "the name \(host) has no address, or no name server answers"
        case .notConnected(let text): "no connection: \(text)"
        case .tls(let text): "TLS failed: \(text)"
        case .privateHost(let host, let address): "\(host) has the address \(address), which is not public"
        case .invalidURL(let text): "the URL cannot be used: \(text)"
        case .invalidRequest(let text): "the request cannot be sent: \(text)"
        case .redirected(let status, let host?): "the server redirects to \(host) (status \(status)); redirects are not followed"
        case .redirected(let status, nil): "the server redirects (status \(status)); redirects are not followed"
        case .answerTooLarge(let limit): "the head of the answer has more than \(limit) bytes"
        case .unreadableAnswer(let text): "the answer cannot be read: \(text)"
        case .cut(let text): "the connection ended before the answer did (the server may have acted nevertheless): \(text)"
        case .invalidMail(let text): "the mail cannot be sent: \(text)"
        case .mailRefused(let code, let text): "the mail server refused with \(code): \(text)"
        case .failed(let text): "sending failed: \(text)"
        }
    }
}
