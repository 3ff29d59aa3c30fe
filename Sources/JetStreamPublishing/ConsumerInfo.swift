/// What the server says of a consumer. Source: nats-server, `CONSUMER.INFO`.
public struct ConsumerInfo: Sendable, Hashable {
    /// The durable name, or one that the server made up.
    public var name: String
    /// nil for an ephemeral one.
    public var durableName: String?
    /// `all`, `new`, `last`, `by_start_sequence`, …
    public var deliverPolicy: String
    /// `none`, `explicit` or `all`.
    public var ackPolicy: String
    /// After this a message that was not acknowledged is delivered again.
    public var ackWaitNanoseconds: Int64
    /// How long each delivery is waited for instead, the last one for all that follow; empty: `ackWait` for all.
    public var backoffNanoseconds: [Int64]
    /// -1: no limit.
    public var maxDeliver: Int
    /// Empty: the whole stream, or several filters.
    public var filterSubject: String
    /// All its filters; empty: the whole stream.
    public var filterSubjects: [String]
    /// The shortest and the longest time that a delivery is waited for.
    public var ackWaits: ClosedRange<Duration> {
        let all = backoffNanoseconds.isEmpty ? [ackWaitNanoseconds] : backoffNanoseconds
        return .nanoseconds(all.min() ?? 0) ... .nanoseconds(all.max() ?? 0)
    }
    /// Set on a consumer that pushes.
    public var deliverSubject: String?
    /// How many messages may be delivered and not acknowledged; 0: no limit.
    public var maxAckPending: Int
    /// The groups by which a consumer has priorities; empty: none.
    public var priorityGroups: [String]
    /// `pinned_client`, `overflow`, …; nil: none.
    public var priorityPolicy: String?
    /// When it was made, RFC 3339; another time means another consumer.
    public var created: String
    /// Messages not delivered yet.
    public var pendingCount: UInt64
    /// Messages delivered and not acknowledged.
    public var ackPendingCount: UInt64
    /// The stream sequence of the last message delivered.
    public var deliveredSequence: UInt64
    /// The stream sequence up to which every message of its is acknowledged.
    public var ackFloorSequence: UInt64
}

extension ConsumerInfo: Decodable {
    private enum CodingKeys: String, CodingKey {
        case name, config, delivered, created
        case ackFloor = "ack_floor"
        case pendingCount = "num_pending"
        case ackPendingCount = "num_ack_pending"
    }

    private enum ConfigKeys: String, CodingKey {
        case durableName = "durable_name"
        case deliverPolicy = "deliver_policy"
        case ackPolicy = "ack_policy"
        case ackWait = "ack_wait"
        case backoff
        case maxDeliver = "max_deliver"
        case filterSubject = "filter_subject"
        case filterSubjects = "filter_subjects"
        case deliverSubject = "deliver_subject"
        case maxAckPending = "max_ack_pending"
        case priorityGroups = "priority_groups"
        case priorityPolicy = "priority_policy"
    }

    /// Of a place in the consumer and in the stream.
    private enum PlaceKeys: String, CodingKey {
        case sequence = "stream_seq"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        let config = try values.nestedContainer(keyedBy: ConfigKeys.self, forKey: .config)
        let delivered = try values.nestedContainer(keyedBy: PlaceKeys.self, forKey: .delivered)
        let floor = try values.nestedContainer(keyedBy: PlaceKeys.self, forKey: .ackFloor)
        name = try values.decode(String.self, forKey: .name)
        durableName = try config.decodeIfPresent(String.self, forKey: .durableName)
        deliverPolicy = try config.decodeIfPresent(String.self, forKey: .deliverPolicy) ?? "all"
        ackPolicy = try config.decodeIfPresent(String.self, forKey: .ackPolicy) ?? "none"
        ackWaitNanoseconds = try config.decodeIfPresent(Int64.self, forKey: .ackWait) ?? 0
        backoffNanoseconds = try config.decodeIfPresent([Int64].self, forKey: .backoff) ?? []
        maxDeliver = try config.decodeIfPresent(Int.self, forKey: .maxDeliver) ?? -1
        filterSubject = try config.decodeIfPresent(String.self, forKey: .filterSubject) ?? ""
        filterSubjects =
            try config.decodeIfPresent([String].self, forKey: .filterSubjects) ?? (filterSubject.isEmpty ? [] : [filterSubject])
        deliverSubject = try config.decodeIfPresent(String.self, forKey: .deliverSubject)
        maxAckPending = max(0, try config.decodeIfPresent(Int.self, forKey: .maxAckPending) ?? 0)
        priorityGroups = try config.decodeIfPresent([String].self, forKey: .priorityGroups) ?? []
        priorityPolicy = try config.decodeIfPresent(String.self, forKey: .priorityPolicy)
        created = try values.decodeIfPresent(String.self, forKey: .created) ?? ""
        pendingCount = try values.decodeIfPresent(UInt64.self, forKey: .pendingCount) ?? 0
        ackPendingCount = try values.decodeIfPresent(UInt64.self, forKey: .ackPendingCount) ?? 0
        deliveredSequence = try delivered.decodeIfPresent(UInt64.self, forKey: .sequence) ?? 0
        ackFloorSequence = try floor.decodeIfPresent(UInt64.self, forKey: .sequence) ?? 0
    }
}
