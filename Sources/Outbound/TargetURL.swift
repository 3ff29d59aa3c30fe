internal import CCurl

/// A URL as libcurl reads it, which connects by the same reading: no second one can differ. Frees its `CURLU *`.
struct TargetURL: ~Copyable {
    /// For CURLOPT_CURLU, as long as this value lives.
    let handle: OpaquePointer
    /// Name or address, without a port; one of IPv6 in brackets.
    let host: String

    /// A web server's, of `http` or `https`.
    /// - Throws: ``OutboundError/invalidURL(_:)``, which repeats nothing of the URL.
    init(web text: String) throws(OutboundError) {
        let handle = try Self.make([(CURLUPART_URL, text)])
        let scheme = Self.part(CURLUPART_SCHEME, handle)
        guard scheme == "http" || scheme == "https", let host = Self.part(CURLUPART_HOST, handle), !host.isEmpty else {
            curl_url_cleanup(handle)
            throw .invalidURL("a URL begins with http:// or https:// and has a host")
        }
        guard host.utf8.allSatisfy({ $0 < 0x80 }) else {
            curl_url_cleanup(handle)
            // libcurl would translate such a name by the process's locale, which is not ours to set.
            throw .invalidURL("the host has letters beyond ASCII; write its name in the xn-- form")
        }
        self.handle = handle
        self.host = host
    }

    /// A mail server's.
    /// - Throws: ``OutboundError/invalidURL(_:)``.
    init(_ server: MailServer) throws(OutboundError) {
        host = server.host.contains(":") && !server.host.hasPrefix("[") ? "[\(server.host)]" : server.host
        handle = try Self.make([
            (CURLUPART_SCHEME, server.security == .tls ? "smtps" : "smtp"), (CURLUPART_HOST, host), (CURLUPART_PORT, "\(server.port)"),
        ])
    }

    deinit { curl_url_cleanup(handle) }

    private static func make(_ parts: [(part: CURLUPart, text: String)]) throws(OutboundError) -> OpaquePointer {
        guard let handle = curl_url() else { throw .failed("no memory for a URL") }
        for (part, text) in parts {
            // C would see what is before a NUL.
            let code = text.utf8.contains(0) ? CURLUE_MALFORMED_INPUT : curl_url_set(handle, part, text, flags)
            guard code != CURLUE_OK else { continue }
            curl_url_cleanup(handle)
            if code == CURLUE_USER_NOT_ALLOWED { throw .invalidURL("a user name stands before the host; use a header for credentials") }
            throw .invalidURL(String(cString: curl_url_strerror(code)))
        }
        return handle
    }

    /// Other schemes are told apart later, by a better text.
    private static let flags = UInt32(CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME)

    private static func part(_ part: CURLUPart, _ handle: OpaquePointer) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard curl_url_get(handle, part, &text, 0) == CURLUE_OK, let text else { return nil }
        defer { curl_free(text) }
        return String(cString: text)
    }
}
