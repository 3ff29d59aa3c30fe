/// What was published of changes that could not be events, since the assembler was made.
public struct PoisonTally: Sendable {
    /// Without their data.
    public internal(set) var referredCount: UInt64 = 0
    /// In their place, on the reserved subject.
    public internal(set) var quarantinedCount: UInt64 = 0
    /// Passed over on purpose, with a marker in their place.
    public internal(set) var skippedCount: UInt64 = 0
    /// The latest of them.
    public internal(set) var latest: CaptureError?

    public init() {}

    /// All of them.
    public var count: UInt64 { referredCount + quarantinedCount + skippedCount }
}
