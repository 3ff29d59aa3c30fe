/// What answers questions about streams and buckets: a connection, or a model of JetStream that stands in its place.
package protocol StreamReader {
    /// A stream's settings and state; nil if there is no such stream.
    func streamInfo(_ name: String) throws(JetStreamError) -> StreamInfo?

    /// The stream's last message, as its leader has it; nil if none stands at its last sequence.
    func lastMessage(_ stream: String) throws(JetStreamError) -> StoredMessage?

    /// The message at `sequence`, as the stream's leader has it; nil if there is none.
    func message(_ stream: String, sequence: UInt64) throws(JetStreamError) -> StoredMessage?

    /// Reads subject and `Nats-Msg-Id` of each message of `range` that is there, in the order of sequences; see
    /// ``JetStreamConnection/readHeaders(_:_:consumer:isWanted:_:)``.
    func readHeaders(
        _ stream: String, _ range: ClosedRange<UInt64>, consumer: String, isWanted: () -> Bool,
        _ body: JetStreamConnection.HeaderHandler
    ) throws(JetStreamError)

    /// A key of a bucket, as the bucket's leader has it.
    func bucketGet(_ bucket: String, key: String) throws(JetStreamError) -> BucketEntry

    /// Whether the server belongs to no cluster; nil if it cannot be found out.
    var isStandalone: Bool? { get }

    /// Whether the server is one that takes atomic batches.
    var takesAtomicBatches: Bool { get }

    /// Whether the server is one that takes fast batches.
    var takesFastBatches: Bool { get }
}

/// Each question is answered within ``JetStreamConnection/apiTimeout``.
extension JetStreamConnection: StreamReader {
    package func streamInfo(_ name: String) throws(JetStreamError) -> StreamInfo? {
        try streamInfo(name, timeout: Self.apiTimeout)
    }

    package func lastMessage(_ stream: String) throws(JetStreamError) -> StoredMessage? {
        try lastMessage(stream, timeout: Self.apiTimeout)
    }

    package func message(_ stream: String, sequence: UInt64) throws(JetStreamError) -> StoredMessage? {
        try message(stream, sequence: sequence, timeout: Self.apiTimeout)
    }

    package func bucketGet(_ bucket: String, key: String) throws(JetStreamError) -> BucketEntry {
        try bucketGet(bucket, key: key, timeout: Self.apiTimeout)
    }
}
