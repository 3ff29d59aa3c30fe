internal import CCurl

/// A list of texts for libcurl: header lines, or a mail's recipients. Frees its `curl_slist *`.
struct TextList: ~Copyable {
    /// For an option that takes a list, as long as this value lives; nil while empty.
    private(set) var first: UnsafeMutablePointer<curl_slist>?

    init(_ texts: [String]) throws(OutboundError) {
        first = nil
        for text in texts {
            guard let longer = curl_slist_append(first, text) else { throw .failed("no memory for a list") }
            first = longer
        }
    }

    deinit { curl_slist_free_all(first) }
}
