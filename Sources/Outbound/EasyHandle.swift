internal import CCurl

/// libcurl, made ready once in the process. Nothing frees it: a handle may be alive until the end.
private let initialised: CURLcode = curl_global_init(Int(CURL_GLOBAL_ALL))

/// One `CURL *` of libcurl: what is set, the connections that it keeps, and the text of its last error. Freed with this value, which
/// closes its connections.
///
/// Blocking, and for one thread at a time.
struct EasyHandle: ~Copyable {
    /// nil if libcurl has no memory, or does not start.
    let handle: UnsafeMutableRawPointer?
    private let errorText: UnsafeMutablePointer<CChar>

    init() {
        handle = initialised == CURLE_OK ? curl_easy_init() : nil
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        // First without what callbacks would be given: their record is gone.
        if let handle { curl_easy_reset(handle) }
        curl_easy_cleanup(handle)
        errorText.deallocate()
    }

    /// Forgets all that was set, pointers to callbacks' records among it. The connections stay.
    /// - Throws: ``OutboundError/failed(_:)`` if there is no handle.
    func reset() throws(OutboundError) {
        guard let handle else { throw .failed("libcurl does not start") }
        curl_easy_reset(handle)
    }

    func set(_ option: CURLoption, _ value: Int) throws(OutboundError) {
        try check(slotstream_curl_set_number(handle, option, value), option)
    }

    func set(_ option: CURLoption, _ value: Bool) throws(OutboundError) { try set(option, value ? 1 : 0) }

    /// libcurl copies the text; nil takes the option's own default away.
    func set(_ option: CURLoption, _ value: String?) throws(OutboundError) {
        try check(slotstream_curl_set_text(handle, option, value), option)
    }

    /// libcurl keeps the pointer until the option is set anew.
    func set(_ option: CURLoption, pointer: UnsafeRawPointer?) throws(OutboundError) {
        try check(slotstream_curl_set_pointer(handle, option, pointer), option)
    }

    /// Of the options that take a `curl_off_t`.
    func set(_ option: CURLoption, size: Int) throws(OutboundError) {
        try check(slotstream_curl_set_size(handle, option, curl_off_t(size)), option)
    }

    /// Does what was set. What the callbacks are told goes into `record`.
    func perform(_ record: TransferRecord) throws(OutboundError) -> CURLcode {
        errorText.pointee = 0
        try set(CURLOPT_ERRORBUFFER, pointer: errorText)
        try attach(record)
        return withExtendedLifetime(record) { curl_easy_perform(handle) }
    }

    /// What the code of ``perform(_:)`` means, if not that all is well.
    func error(_ code: CURLcode, host: String) -> OutboundError {
        OutboundError(code, text: text(of: code), host: host, isConnected: text(CURLINFO_PRIMARY_IP)?.isEmpty == false)
    }

    /// libcurl's words for how ``perform(_:)`` ended.
    private func text(of code: CURLcode) -> String {
        let text = String(cString: errorText)
        return printable(text.isEmpty ? String(cString: curl_easy_strerror(code)) : text)
    }

    /// A number that libcurl knows after ``perform(_:)``; 0 if it does not.
    func number(_ info: CURLINFO) -> Int {
        var value = 0
        return slotstream_curl_get_number(handle, info, &value) == CURLE_OK ? value : 0
    }

    /// A text that libcurl knows after ``perform(_:)``.
    func text(_ info: CURLINFO) -> String? {
        var value: UnsafePointer<CChar>?
        guard slotstream_curl_get_text(handle, info, &value) == CURLE_OK, let value else { return nil }
        return String(cString: value)
    }

    /// The value of a header of the last answer.
    func header(_ name: String) -> String? {
        var header: UnsafeMutablePointer<curl_header>?
        // The last answer of those that came, whose trailers do not count.
        guard curl_easy_header(handle, name, 0, UInt32(CURLH_HEADER), -1, &header) == CURLHE_OK, let value = header?.pointee.value
        else { return nil }
        return String(cString: value)
    }

    func check(_ code: CURLcode, _ option: CURLoption) throws(OutboundError) {
        guard code == CURLE_OK else {
            throw .failed("libcurl refuses the option \(option.rawValue): \(String(cString: curl_easy_strerror(code)))")
        }
    }
}
