/// What the server says of a stream. Source: nats-server, `STREAM.INFO`.
public struct StreamInfo: Sendable {
    /// The stream's settings.
    public var config: Config
    /// What it holds.
    public var state: State
    /// When it was created, as RFC 3339; another time means another stream.
    public var created: String
    /// Who holds it; nil on servers without clustering.
    public var cluster: Cluster?
    /// The server's clock when it answered, RFC 3339; nil: a server before 2.10.
    public var time: String?
    /// The whole answer, JSON.
    public var raw: [UInt8]

    /// A stream's settings, in the server's own terms; what the server leaves out has its default.
    public struct Config: Sendable {
        /// The stream's name.
        public var name: String
        /// The filters that it captures; empty on mirrors.
        public var subjects: [String]
        /// `limits`, `interest` or `workqueue`.
        public var retention: String
        /// `file` or `memory`.
        public var storage: String
        /// `old` or `new`.
        public var discard: String
        /// How long message ids are remembered.
        public var duplicateWindowNanoseconds: Int64
        /// 0: no limit.
        public var maxAgeNanoseconds: Int64
        /// -1: no limit.
        public var maxBytes: Int64
        /// -1: no limit.
        public var maxMessages: Int64
        /// -1: no limit.
        public var maxMessageSize: Int64
        /// -1: no limit.
        public var maxMessagesPerSubject: Int64
        /// Servers that hold it.
        public var replicas: Int
        /// Publishes get no ack.
        public var noAck: Bool
        /// Nothing can be added or removed.
        public var sealed: Bool
        /// Any replica may answer direct gets.
        public var allowDirect: Bool
        /// Takes atomic batches.
        public var allowAtomic: Bool
        /// Takes fast batches.
        public var allowBatched: Bool
        /// A publish may remove what is before it.
        public var allowRollup: Bool
        /// Messages cannot be deleted one by one.
        public var denyDelete: Bool
        /// It cannot be purged.
        public var denyPurge: Bool
        /// With `discard` new: a subject that is full refuses.
        public var discardNewPerSubject: Bool
        /// The mirrored stream's name.
        public var mirror: String?
        /// The names of the streams it sources from.
        public var sources: [String]
        /// Subjects are rewritten on arrival.
        public var hasSubjectTransform: Bool
        /// Messages may carry their own expiry.
        public var allowMessageTTL: Bool
        /// 0: none.
        public var subjectDeleteMarkerTTLNanoseconds: Int64
        /// Messages may make the server publish later.
        public var allowMessageSchedules: Bool
        /// Messages may be added up by the server.
        public var allowMessageCounter: Bool
        /// `async`, or nil or `default`.
        public var persistMode: String?
        /// The sequence of the first message a new stream takes; 0 and 1 are the same.
        public var firstSequence: UInt64
        /// Free text pairs; from 2.11 on also the server's own `_nats.*`.
        public var metadata: [String: String]

        /// ``maxMessageSize`` where there is a limit.
        public var messageSizeLimit: Int? { maxMessageSize > 0 ? Int(clamping: maxMessageSize) : nil }
    }

    /// What a stream holds.
    public struct State: Sendable, Hashable {
        /// Messages that are there; fewer than `lastSequence - firstSequence + 1` after deletes.
        public var messages: UInt64
        /// Their size in the store.
        public var bytes: UInt64
        /// The first that is there; `lastSequence + 1` when empty.
        public var firstSequence: UInt64
        /// Survives deletes, purges and expiry, unlike the message.
        public var lastSequence: UInt64
        /// RFC 3339.
        public var firstTime: String
        /// RFC 3339.
        public var lastTime: String
    }

    /// The servers that hold a stream.
    public struct Cluster: Sendable, Hashable {
        /// nil on a server that belongs to no cluster.
        public var name: String?
        /// nil while there is none.
        public var leader: String?
        /// The others.
        public var replicas: [Peer]

        /// Whether leader and up-to-date replicas are more than half of all.
        public var hasCurrentMajority: Bool {
            guard leader != nil else { return false }
            let currentCount = 1 + replicas.count { $0.isCurrent && !$0.isOffline }
            return 2 * currentCount > 1 + replicas.count
        }
    }

    /// A server that follows a stream's leader.
    public struct Peer: Sendable, Hashable {
        /// The server's name.
        public var name: String
        /// Has applied what the leader has, as far as the leader knows.
        public var isCurrent: Bool
        /// Not heard of lately.
        public var isOffline: Bool
        /// Operations that it has yet to apply.
        public var lag: UInt64
    }
}
