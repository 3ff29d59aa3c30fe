import CNats

/// libnats' status codes, turned into our errors.
enum NatsStatus {
    /// The status' own text and, where libnats noted one on this thread, what it was about.
    static func text(_ status: natsStatus) -> String {
        let name = natsStatus_GetText(status).map { String(cString: $0) } ?? "status \(status.rawValue)"
        var noted = NATS_OK
        guard let detail = nats_GetLastError(&noted), noted == status else { return name }
        let text = String(cString: detail)
        return text.isEmpty || text == name ? name : "\(name): \(text)"
    }

    /// What the connection noted as its last error; empty if nothing.
    static func lastError(of connection: OpaquePointer?) -> String {
        guard let connection else { return "" }
        var text: UnsafePointer<CChar>?
        let status = natsConnection_GetLastError(connection, &text)
        guard status != NATS_OK else { return "" }
        let detail = text.map { String(cString: $0) } ?? ""
        let name = natsStatus_GetText(status).map { String(cString: $0) } ?? ""
        return detail.isEmpty ? name : "\(name): \(detail)"
    }

    /// Whether the connection ended during the TLS handshake, and neither side has refused the other: a server that dies or restarts. OpenSSL calls an end so, and
    /// has no word for a connection that was reset.
    private static func isBrokenHandshake(_ text: String) -> Bool {
        text.contains("unexpected eof while reading") || text.hasSuffix("SSL handshake error: (null)")
    }

    /// Throws unless `status` is OK. Call it on the thread that made the call, before any other.
    static func check(_ status: natsStatus, _ operation: @autoclosure () -> String) throws(JetStreamError) {
        guard status != NATS_OK else { return }
        throw error(status, operation())
    }

    /// The error that `status` stands for.
    static func error(_ status: natsStatus, _ operation: String) -> JetStreamError {
        let text = text(status)
        return switch status {
        case NATS_TIMEOUT: .timedOut(operation: operation)
        case NATS_NO_RESPONDERS: .noResponders(operation: operation)
        case NATS_CONNECTION_AUTH_FAILED: .authorization(text)
        case NATS_NOT_PERMITTED: .permission(text)
        case NATS_SSL_ERROR where isBrokenHandshake(text): .notConnected(text)
        case NATS_SSL_ERROR, NATS_SECURE_CONNECTION_WANTED, NATS_SECURE_CONNECTION_REQUIRED: .tls(text)
        case NATS_NO_SERVER, NATS_IO_ERROR, NATS_CONNECTION_CLOSED, NATS_CONNECTION_DISCONNECTED, NATS_STALE_CONNECTION,
            NATS_INSUFFICIENT_BUFFER, NATS_DRAINING, NATS_SYS_ERROR:
            .notConnected(text)
        default: .client(status: text, operation: operation)
        }
    }
}
