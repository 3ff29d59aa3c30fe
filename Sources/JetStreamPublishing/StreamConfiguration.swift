/// The stream that we want: limits retention, file storage, direct gets, one subject space; discards old messages, unless it says otherwise.
public struct StreamConfiguration: Sendable, Hashable {
    /// No white space, none of `. * > / \`.
    public var name: String
    /// The stream captures `<prefix>.>`, unless ``otherSubject`` says otherwise.
    public var subjectPrefix: String
    /// What it captures instead; nil: what is below the prefix.
    public var otherSubject: String?
    /// Whether a full stream refuses new messages instead of removing old ones.
    public var discardsNew = false
    /// How long JetStream remembers message ids. No more than `maxAge`, where that is not zero.
    public var duplicateWindow: Duration
    /// Zero: for ever.
    public var maxAge: Duration
    /// -1: no limit.
    public var maxBytes: Int64
    /// -1: no limit.
    public var maxMessages: Int64
    /// 1, 3 or 5.
    public var replicas: Int
    /// Atomic batches; nats-server 2.12.1 and later.
    public var allowAtomic: Bool
    /// Fast batches; nats-server 2.14 and later.
    public var allowBatched: Bool

    /// A stream with these limits.
    public init(
        name: String, subjectPrefix: String, duplicateWindow: Duration, maxAge: Duration = .zero, maxBytes: Int64 = -1,
        maxMessages: Int64 = -1, replicas: Int = 1, allowAtomic: Bool = false, allowBatched: Bool = false
    ) {
        self.name = name
        self.subjectPrefix = subjectPrefix
        self.duplicateWindow = duplicateWindow
        self.maxAge = maxAge
        self.maxBytes = maxBytes
        self.maxMessages = maxMessages
        self.replicas = replicas
        self.allowAtomic = allowAtomic
        self.allowBatched = allowBatched
    }

    /// The subject filter that the stream captures.
    public var subject: String { otherSubject ?? "\(subjectPrefix).>" }
}

extension StreamConfiguration: Encodable {
    private enum CodingKeys: String, CodingKey {
        case name, subjects, retention, storage, discard
        case duplicateWindow = "duplicate_window"
        case maxAge = "max_age"
        case maxBytes = "max_bytes"
        case maxMessages = "max_msgs"
        case maxMessageSize = "max_msg_size"
        case maxMessagesPerSubject = "max_msgs_per_subject"
        case maxConsumers = "max_consumers"
        case replicas = "num_replicas"
        case allowDirect = "allow_direct"
        case allowAtomic = "allow_atomic"
        case allowBatched = "allow_batched"
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(name, forKey: .name)
        try values.encode([subject], forKey: .subjects)
        try values.encode("limits", forKey: .retention)
        try values.encode("file", forKey: .storage)
        try values.encode(discardsNew ? "new" : "old", forKey: .discard)
        try values.encode(duplicateWindow.nanoseconds, forKey: .duplicateWindow)
        try values.encode(maxAge.nanoseconds, forKey: .maxAge)
        try values.encode(maxBytes, forKey: .maxBytes)
        try values.encode(maxMessages, forKey: .maxMessages)
        try values.encode(-1, forKey: .maxMessageSize)
        try values.encode(-1, forKey: .maxMessagesPerSubject)
        try values.encode(-1, forKey: .maxConsumers)
        try values.encode(replicas, forKey: .replicas)
        try values.encode(true, forKey: .allowDirect)
        // Servers that do not know the key ignore it, 2.12 on in strict mode excepted; those know it.
        if allowAtomic { try values.encode(true, forKey: .allowAtomic) }
        if allowBatched { try values.encode(true, forKey: .allowBatched) }
    }
}
