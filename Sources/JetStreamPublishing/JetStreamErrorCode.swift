/// The `err_code`s that decisions hang on. Source: nats-server, `server/errors.json`.
public enum JetStreamErrorCode {
    /// The account's storage is used up, or would be by what is to be made.
    public static let accountResourcesExceeded = 10_002
    /// "no suitable peers for placement": the cluster has fewer servers that are ready, and have the storage, than there are to be replicas.
    public static let noSuitablePeers = 10_005
    /// No such consumer.
    public static let consumerNotFound = 10_014
    /// No message at that sequence, or on that subject.
    public static let messageNotFound = 10_037
    /// No message at that sequence, as a stream says of one that is to be deleted.
    public static let sequenceNotFound = 10_043
    /// The message is larger than the stream's `max_msg_size`.
    public static let messageTooLarge = 10_054
    /// The server's storage, or its disk, is used up.
    public static let insufficientResources = 10_023
    /// The account has no JetStream.
    public static let jetStreamNotEnabledForAccount = 10_039
    /// A stream that may grow larger than the server's storage.
    public static let storageResourcesExceeded = 10_047
    /// A stream of that name has other settings.
    public static let streamNameInUse = 10_058
    /// No such stream.
    public static let streamNotFound = 10_059
    /// The stream's last message id is another than the one that was expected.
    public static let wrongLastMessageID = 10_070
    /// The chain does not hold: the stream's, or a key's, last sequence is another.
    public static let wrongLastSequence = 10_071
    /// Another stream of the account captures a subject of what is to be made.
    public static let subjectsOverlap = 10_065
    /// Replicas on a server that is no cluster.
    public static let replicasNotSupported = 10_074
    /// The server has no JetStream.
    public static let jetStreamNotEnabled = 10_076
    /// "maximum messages exceeded" and its kin, on streams that discard new messages.
    public static let storeFailed = 10_077
    /// Replicated streams of 2.11 and later: the id is staged, which proves nothing.
    public static let duplicateInProcess = 10_158
    /// The wrong last sequence, seen while others are in flight.
    public static let wrongLastSequenceInFlight = 10_164
    /// The stream's queue is full.
    public static let tooManyRequests = 10_167
    /// The stream takes no atomic batches.
    public static let batchesDisabled = 10_174
    /// An atomic batch had members missing when it was committed.
    public static let batchIncomplete = 10_176
    /// An atomic batch held more messages than the server takes in one.
    public static let batchTooLarge = 10_199
    /// An atomic batch held an id that the stream knows.
    public static let batchDuplicate = 10_201
    /// The stream takes nothing any more.
    public static let streamSealed = 10_109
    /// What is refused so is refused for a message before it.
    static let consequences = [wrongLastMessageID, wrongLastSequence, wrongLastSequenceInFlight, fastBatchUnknown]
    /// The stream takes no fast batches.
    public static let fastBatchesDisabled = 10_205
    /// The server cannot read what a reply subject says of a fast batch.
    public static let fastBatchPatternInvalid = 10_206
    /// A fast batch that the server does not know, or has forgotten.
    public static let fastBatchUnknown = 10_208
    /// More fast batches under way than the server takes.
    public static let tooManyFastBatches = 10_211
}
