import Capture
import Crypto
import Foundation

extension CaptureFunctions {
    /// The key of `cryptographic`.
    static let key = Array("the key".utf8)

    /// As the program has them, with `key`.
    static let cryptographic = CaptureFunctions(
        hmacSHA256: { text, digest in
            let code = HMAC<SHA256>.authenticationCode(for: Data(text), using: SymmetricKey(data: key))
            code.withUnsafeBytes { digest.copyMemory(from: $0) }
        },
        sha1: { text, digest in
            Insecure.SHA1.hash(data: Data(text)).withUnsafeBytes { digest.copyMemory(from: $0) }
        })
}
