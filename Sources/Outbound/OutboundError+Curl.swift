internal import CCurl

extension OutboundError {
    /// What libcurl's `code` means for us.
    /// - Parameters:
    ///   - text: libcurl's own message.
    ///   - host: the one that was to be reached.
    ///   - isConnected: whether there was a connection.
    init(_ code: CURLcode, text: String, host: String, isConnected: Bool) {
        self =
            switch code {
            // Nobody can have done anything yet; the text says whether it was the name or the connection that took too long.
            case CURLE_OPERATION_TIMEDOUT where !isConnected, CURLE_ABORTED_BY_CALLBACK where !isConnected: .notConnected(text)
            // The second is our own callback, which ends what outlives its time.
            case CURLE_OPERATION_TIMEDOUT, CURLE_ABORTED_BY_CALLBACK: .timedOut
            case CURLE_COULDNT_RESOLVE_HOST: .nameNotFound(host: host)
            case CURLE_COULDNT_CONNECT: .notConnected(text)
            case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_USE_SSL_FAILED,
                CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_SHUTDOWN_FAILED:
                .tls(text)
            case CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_PARTIAL_FILE: .cut(text)
            // What libcurl calls an unsupported protocol is an answer without a head: we have read the URL ourselves.
            case CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL, CURLE_BAD_CONTENT_ENCODING: .unreadableAnswer(text)
            default: .failed(text)
            }
    }
}
