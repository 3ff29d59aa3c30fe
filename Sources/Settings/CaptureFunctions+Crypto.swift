import Capture
import Crypto
import FoundationEssentials

extension CaptureFunctions {
    /// swift-crypto's.
    ///
    /// - Parameter maskKey: Of HMAC-SHA-256; nil: there is none, and no mask asks for one.
    init(maskKey: SecretBytes?) {
        self.init(hmacSHA256: nil) { text, digest in
            var sha1 = Insecure.SHA1()
            sha1.update(bufferPointer: text)
            sha1.finalize().withUnsafeBytes { digest.copyMemory(from: $0) }
        }
        guard let maskKey else { return }
        let key = SymmetricKey(data: maskKey.value)
        hmacSHA256 = { text, digest in
            var hmac = HMAC<SHA256>(key: key)
            hmac.update(data: text)
            hmac.finalize().withUnsafeBytes { digest.copyMemory(from: $0) }
        }
    }
}
