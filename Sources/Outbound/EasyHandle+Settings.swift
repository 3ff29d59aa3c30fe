internal import CCurl

extension EasyHandle {
    /// Sets what holds for each transfer: its time, TLS, and that nothing outside of the configuration has a say.
    /// - Parameters:
    ///   - protocols: libcurl's names of those that may be spoken, with commas.
    ///   - caFile: the authorities to believe, in PEM, in place of the system's.
    func prepare(protocols: String, timeout: Duration, caFile: String?) throws(OutboundError) {
        try reset()
        try set(CURLOPT_PROTOCOLS_STR, protocols)
        // No signal handlers in a program of many threads. The threaded resolver keeps the time without them.
        try set(CURLOPT_NOSIGNAL, true)
        // A name server that hangs: the resolver's thread is left to end by itself instead of waited for.
        try set(CURLOPT_QUICK_EXIT, true)
        let milliseconds = timeout.asTimeLimit.wholeMilliseconds
        try set(CURLOPT_TIMEOUT_MS, milliseconds)
        try set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds)
        // Of each answer of a mail server: two minutes otherwise, whatever the whole may take.
        try set(CURLOPT_SERVER_RESPONSE_TIMEOUT, milliseconds / 1_000 + 1)
        // A proxy of the environment would be what is connected to, and the guard would look at its address instead of the target's.
        try set(CURLOPT_PROXY, "")
        try set(CURLOPT_NETRC, Int(CURL_NETRC_IGNORED.rawValue))
        try set(CURLOPT_SSL_VERIFYPEER, true)
        try set(CURLOPT_SSL_VERIFYHOST, 2)
        try set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        // A file that was renewed counts from the next connection on.
        try set(CURLOPT_CA_CACHE_TIMEOUT, 0)
        if let caFile {
            try set(CURLOPT_CAINFO, caFile)
            try set(CURLOPT_CAPATH, nil as String?)
        }
    }
}

extension Duration {
    /// At least a millisecond, since 0 is "no limit" to libcurl, and at most 24 days: milliseconds of 32 bits do not hold more.
    var asTimeLimit: Duration { min(max(self, .milliseconds(1)), .seconds(24 * 86_400)) }

    /// Of one that is a time limit: rounded up.
    fileprivate var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        return Int(seconds) * 1_000 + Int((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
