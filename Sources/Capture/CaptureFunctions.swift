/// What events need of cryptography, given from outside: this module has no dependency.
public struct CaptureFunctions: Sendable {
    /// HMAC-SHA-256 under the operator's key of the first argument's bytes; writes 32 bytes. nil: no key is configured.
    public var hmacSHA256: (@Sendable (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) -> Void)?
    /// SHA-1, which UUIDs of version 5 are made with; writes 20 bytes.
    public var sha1: @Sendable (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) -> Void

    public init(
        hmacSHA256: (@Sendable (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) -> Void)?,
        sha1: @escaping @Sendable (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) -> Void
    ) {
        self.hmacSHA256 = hmacSHA256
        self.sha1 = sha1
    }
}
