internal import CCurl

/// A URL of `http` or `https` as libcurl reads it, which connects by the same reading: no second one can differ. Frees its `CURLU *`.
struct WebURL: ~Copyable {
    /// For CURLOPT_CURLU, as long as this value lives.
    let handle: OpaquePointer
    /// Name or address, without a port; one of IPv6 in brackets.
    let host: String

    /// - Throws: ``OutboundError/invalidURL(_:)``, which repeats nothing of the URL.
    init(_ text: String) throws(OutboundError) {
        // C would see the part before it.
        guard !text.utf8.contains(0) else { throw .invalidURL("a NUL in it") }
        guard let handle = curl_url() else { throw .failed("no memory for a URL") }
        let code = curl_url_set(handle, CURLUPART_URL, text, UInt32(CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME))
        let scheme = Self.part(CURLUPART_SCHEME, handle)
        let host = Self.part(CURLUPART_HOST, handle)
        guard code == CURLUE_OK, let host, !host.isEmpty, scheme == "http" || scheme == "https" else {
            curl_url_cleanup(handle)
            switch code {
            case CURLUE_USER_NOT_ALLOWED: throw .invalidURL("it has a user name before the host; use a header for credentials")
            case CURLUE_OK: throw .invalidURL("it begins with neither http:// nor https://")
            default: throw .invalidURL(String(cString: curl_url_strerror(code)))
            }
        }
        self.handle = handle
        self.host = host
    }

    deinit { curl_url_cleanup(handle) }

    private static func part(_ part: CURLUPart, _ handle: OpaquePointer) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard curl_url_get(handle, part, &text, 0) == CURLUE_OK, let text else { return nil }
        defer { curl_free(text) }
        return String(cString: text)
    }
}
