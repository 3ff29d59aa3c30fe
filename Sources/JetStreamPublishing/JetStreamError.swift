/// Everything that can go wrong between us and JetStream. Texts are the server's or libnats' own; none holds a secret or
/// a payload.
public enum JetStreamError: Error, Sendable, Hashable {
    /// An option that cannot work: a bad URL, a file that cannot be read, a name that is no stream name.
    case configuration(String)
    /// The server refused who we are.
    case authorization(String)
    /// No TLS where it was wanted, or a certificate that does not hold.
    case tls(String)
    /// The account may not do this; the text names operation and subject.
    case permission(String)
    /// There is no connection, now; libnats goes on trying.
    case notConnected(String)
    /// The connection was closed for good, by us or by libnats (``ConnectionEvent/closed(_:)``, with its reason). Make a
    /// new one.
    case connectionClosed(String)
    /// No answer in time: whether the server did it is unknown.
    case timedOut(operation: String)
    /// Nobody listens: no JetStream in this account, no such stream, or no leader at the moment.
    case noResponders(operation: String)
    /// JetStream's answer was an error: `code` is the HTTP-like one, `errCode` JetStream's own (``JetStreamErrorCode``).
    case api(code: Int, errCode: Int, description: String, operation: String)
    /// Headers and payload together exceed the server's `max_payload`.
    case payloadTooLarge(byteCount: Int, limit: Int)
    /// A subject or message id that would break the protocol: empty, too long, or with white space or control
    /// characters in it.
    case invalidMessage(String)
    /// The server's answer could not be read.
    case malformedResponse(operation: String)
    /// Anything else that libnats reports, by its own text.
    case client(status: String, operation: String)
    /// libnats holds its lock and does not come back. Only a new process mends it.
    case wedged(String)

    /// JetStream's own error code; nil if the error is not an answer of JetStream.
    public var errCode: Int? {
        if case .api(_, let errCode, _, _) = self { errCode } else { nil }
    }

    /// Whether the key or the stream has moved on since it was read, or on a replicated stream is about to: an earlier
    /// message is still under way.
    public var isWrongLastSequence: Bool {
        errCode == JetStreamErrorCode.wrongLastSequence || errCode == JetStreamErrorCode.wrongLastSequenceInFlight
    }

    /// Whether the account, or the server, has no JetStream.
    public var isJetStreamMissing: Bool {
        errCode == JetStreamErrorCode.jetStreamNotEnabledForAccount || errCode == JetStreamErrorCode.jetStreamNotEnabled
    }

    /// Whether a right is missing that retrying cannot bring.
    public var isPermission: Bool {
        if case .permission = self { true } else { false }
    }

    /// Whether waiting and trying again may help without anybody changing anything.
    public var isTransient: Bool {
        switch self {
        case .notConnected, .timedOut, .noResponders: true
        case .api(let code, let errCode, _, _):
            code == 503 || code == 429 || errCode == JetStreamErrorCode.duplicateInProcess
        case .configuration, .authorization, .tls, .permission, .connectionClosed, .payloadTooLarge, .invalidMessage,
            .malformedResponse, .client, .wedged:
            false
        }
    }
}

extension JetStreamError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .configuration(let text): "NATS configuration: \(text)"
        case .authorization(let text): "NATS refused the credentials: \(text)"
        case .tls(let text): "TLS to NATS failed: \(text)"
        case .permission(let text): "not permitted by NATS: \(text)"
        case .notConnected(let text): "not connected to NATS: \(text)"
        case .connectionClosed(let text): "the connection to NATS is closed: \(text)"
        case .timedOut(let operation): "no answer from NATS in time: \(operation)"
        case .noResponders(let operation): "NATS has no responders: \(operation)"
        case .api(let code, let errCode, let text, let operation):
            "JetStream refused \(operation): \(text) (\(code), \(errCode))"
        case .payloadTooLarge(let byteCount, let limit):
            "the message has \(byteCount) bytes, more than nats-server's max_payload of \(limit)"
        case .invalidMessage(let text): "NATS cannot carry the message: \(text)"
        case .malformedResponse(let operation): "unreadable answer from NATS: \(operation)"
        case .client(let status, let operation): "NATS client: \(status) (\(operation))"
        case .wedged(let text): "the NATS client is stuck: \(text)"
        }
    }
}
