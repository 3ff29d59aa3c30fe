/// What a key-value bucket's leader says of a key.
public enum BucketEntry: Sendable, Hashable {
    /// There is no such bucket.
    case bucketMissing
    /// The bucket has never had the key, or has purged it.
    case keyMissing
    /// The key was deleted; a put that expects what is there expects `revision`.
    case deleted(revision: UInt64)
    /// The key's value.
    case value([UInt8], revision: UInt64)
}
