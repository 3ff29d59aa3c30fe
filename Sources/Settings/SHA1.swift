import CCrypto
import Synchronization

/// SHA-1, which UUIDs of version 5 are made with.
///
/// Source: FIPS 180-4; OpenSSL 3.0, `EVP_DigestInit(3)`.
final class SHA1: Sendable {
    /// Of a digest.
    static let byteCount = 20

    /// nil: libcrypto has no SHA-1 to give.
    private let context = Mutex(Context.new())

    /// Writes the digest of `text` into the first 20 bytes of `digest`.
    /// - Returns: Whether libcrypto has computed it; if not, what is in `digest` means nothing.
    func write(_ text: UnsafeRawBufferPointer, to digest: UnsafeMutableRawBufferPointer) -> Bool {
        context.withLock { $0?.write(text, to: digest) ?? false }
    }

    /// Owns an `EVP_MD_CTX` that has its algorithm: to look that up for each text would cost more than to compute it.
    ///
    /// Sendable because it is not copied: whoever has it is its only owner.
    private struct Context: ~Copyable, @unchecked Sendable {
        let handle: OpaquePointer

        static func new() -> Context? {
            guard let handle = EVP_MD_CTX_new() else { return nil }
            let context = Context(handle: handle)
            let algorithm = EVP_MD_fetch(nil, "SHA1", nil)
            // The context keeps a count of its own on it.
            defer { EVP_MD_free(algorithm) }
            guard let algorithm, EVP_DigestInit_ex2(handle, algorithm, nil) == 1 else { return nil }
            return context
        }

        deinit { EVP_MD_CTX_free(handle) }

        mutating func write(_ text: UnsafeRawBufferPointer, to digest: UnsafeMutableRawBufferPointer) -> Bool {
            let output = digest.bindMemory(to: UInt8.self)
            guard output.count >= SHA1.byteCount else { return false }
            // Without an algorithm: begun anew with the one that it has.
            return EVP_DigestInit_ex2(handle, nil, nil) == 1
                && EVP_DigestUpdate(handle, text.baseAddress, text.count) == 1
                && EVP_DigestFinal_ex(handle, output.baseAddress, nil) == 1
        }
    }
}
