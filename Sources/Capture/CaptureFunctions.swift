/// What events need of cryptography, given from outside: this module has no dependency.
public struct CaptureFunctions: Sendable {
    /// Writes the second argument's bytes from the first's. Returns whether it could; if not, no event is made of them.
    public typealias Digest = @Sendable (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) -> Bool

    /// HMAC-SHA-256 under the operator's key; writes 32 bytes. nil: no key is configured.
    public var hmacSHA256: Digest?
    /// SHA-1, which UUIDs of version 5 are made with; writes 20 bytes.
    public var sha1: Digest

    public init(hmacSHA256: Digest?, sha1: @escaping Digest) {
        self.hmacSHA256 = hmacSHA256
        self.sha1 = sha1
    }
}
