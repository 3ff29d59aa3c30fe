import CCrypto
import Capture

extension CaptureFunctions {
    /// The key of `cryptographic`.
    static let key = Array("the key".utf8)

    /// libcrypto's, with `key`.
    static let cryptographic = CaptureFunctions(
        hmacSHA256: { text, digest in
            let bytes = text.bindMemory(to: UInt8.self), output = digest.bindMemory(to: UInt8.self)
            return EVP_Q_mac(
                nil, "HMAC", nil, "SHA256", nil, key, key.count, bytes.baseAddress, bytes.count, output.baseAddress,
                output.count, nil) != nil
        },
        sha1: { text, digest in
            EVP_Digest(text.baseAddress, text.count, digest.bindMemory(to: UInt8.self).baseAddress, nil, EVP_sha1(), nil) == 1
        })

    /// As `cryptographic`, out of memory.
    static let failing = CaptureFunctions(hmacSHA256: { _, _ in false }, sha1: { _, _ in false })
}
