import Capture

extension CaptureFunctions {
    /// libcrypto's.
    ///
    /// - Parameter maskKey: Of HMAC-SHA-256; nil: there is none, and no mask asks for one.
    init(maskKey: SecretBytes?) {
        let sha1 = SHA1()
        self.init(hmacSHA256: nil) { text, digest in sha1.write(text, to: digest) }
        guard let maskKey else { return }
        let hmac = HMACSHA256(key: maskKey.value)
        hmacSHA256 = { text, digest in hmac.write(text, to: digest) }
    }
}
