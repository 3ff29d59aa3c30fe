import CCrypto
import Synchronization

/// HMAC-SHA-256 under one key.
///
/// Source: RFC 2104; OpenSSL 3.0, `EVP_MAC(3)`.
package final class HMACSHA256: Sendable {
    /// Of a digest.
    static let byteCount = 32

    /// nil: libcrypto has no HMAC-SHA-256 to give, or refuses the key.
    private let context: Mutex<Context?>

    init(key: [UInt8]) { context = Mutex(Context.keyed(key)) }

    /// The digest of one message under a key that is used once; empty: libcrypto has none to give.
    package static func digest(key: [UInt8], message: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: byteCount)
        let isWritten = message.withUnsafeBytes { message in
            digest.withUnsafeMutableBytes { HMACSHA256(key: key).write(message, to: $0) }
        }
        return isWritten ? digest : []
    }

    /// Writes the digest of `text` into the first 32 bytes of `digest`.
    /// - Returns: Whether libcrypto has computed it; if not, what is in `digest` means nothing.
    func write(_ text: UnsafeRawBufferPointer, to digest: UnsafeMutableRawBufferPointer) -> Bool {
        context.withLock { $0?.write(text, to: digest) ?? false }
    }

    /// Owns an `EVP_MAC_CTX` that has its key: to look the algorithm up for each text would cost more than to compute it.
    ///
    /// Sendable because it is not copied: whoever has it is its only owner.
    private struct Context: ~Copyable, @unchecked Sendable {
        let handle: OpaquePointer

        static func keyed(_ key: [UInt8]) -> Context? {
            let algorithm = EVP_MAC_fetch(nil, "HMAC", nil)
            // The context keeps a count of its own on it.
            defer { EVP_MAC_free(algorithm) }
            guard let handle = EVP_MAC_CTX_new(algorithm) else { return nil }
            let context = Context(handle: handle)
            var name = Array("SHA256".utf8CString)
            let isKeyed = name.withUnsafeMutableBufferPointer { name in
                let parameters = [
                    OSSL_PARAM_construct_utf8_string("digest", name.baseAddress, 0), OSSL_PARAM_construct_end(),
                ]
                return EVP_MAC_init(handle, key, key.count, parameters) == 1
            }
            guard isKeyed else { return nil }
            return context
        }

        /// It cleanses the key.
        deinit { EVP_MAC_CTX_free(handle) }

        mutating func write(_ text: UnsafeRawBufferPointer, to digest: UnsafeMutableRawBufferPointer) -> Bool {
            let bytes = text.bindMemory(to: UInt8.self), output = digest.bindMemory(to: UInt8.self)
            guard output.count >= HMACSHA256.byteCount else { return false }
            var count = 0
            // Without a key: begun anew under the one that it has.
            return EVP_MAC_init(handle, nil, 0, nil) == 1
                && EVP_MAC_update(handle, bytes.baseAddress, bytes.count) == 1
                && EVP_MAC_final(handle, output.baseAddress, &count, output.count) == 1
                && count == HMACSHA256.byteCount
        }
    }
}
