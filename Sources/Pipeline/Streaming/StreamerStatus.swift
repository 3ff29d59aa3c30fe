#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a streamer is doing, at one moment: the object of `status --json` and of `GET /status`.
///
/// Encoded with snake_case names. Unknown is absent, never a placeholder. LSNs are text, sizes bytes, durations seconds,
/// times RFC 3339.
public struct StreamerStatus: Codable, Sendable, Equatable {
    public enum Role: String, Codable, Sendable {
        /// Holds the slot, or is about to: connecting, recovering, streaming.
        case active
        /// Waits for another streamer to release the slot.
        case standby
        /// No streamer runs, or it has stopped for good.
        case stopped
    }

    public struct Source: Codable, Sendable, Equatable {
        public var systemId: String?
        public var timeline: UInt32?
        public var database: String?
        public var slot: String
        public var plugin: String?
        public var walStatus: String?
        public var receivedLsn: String?
        public var storedLsn: String?
        public var confirmedLsn: String?
        public var lagBytes: UInt64?
        public var lagSeconds: Double?
        public var retainedBytes: UInt64?
        public var safeBytes: Int64?
        /// Tables whose rows are published.
        public var publishedTables: Int?
        /// Those of them of which UPDATE and DELETE fail in the application, or whose partitions' do; the first hundred.
        public var tablesWithoutIdentity: [String]?
    }

    public struct Stream: Codable, Sendable, Equatable {
        public var name: String
        public var leader: String?
        public var firstSequence: UInt64?
        public var lastSequence: UInt64?
        public var messages: UInt64?
        public var bytes: UInt64?
        public var replicas: Int?
    }

    public struct InFlight: Codable, Sendable, Equatable {
        /// Events handed to libnats and not yet acknowledged.
        public var messages: Int
        /// Bytes of all retained events: accepted or not, none of them known to be stored.
        public var bytes: Int
    }

    public struct Counters: Codable, Sendable, Equatable {
        public var transactions: UInt64
        public var events: UInt64
        public var resynchronisations: UInt64
        public var reconnects: UInt64
        /// Messages of others found in the stream; nil: a version before they were told.
        public var strays: UInt64?
    }

    public struct LastError: Codable, Sendable, Equatable {
        public var reason: String
        public var at: String
        public var message: String
    }

    public var schema = "slotstream.status/1"
    public var role: Role
    /// Each of its loops turned within the last 30 s.
    public var live: Bool
    /// Connected to both servers and not behind the configured limit; a standby is ready.
    public var ready: Bool
    /// Why it is not ready or not live, one sentence each.
    public var reasons: [String]
    public var source: Source
    public var stream: Stream
    public var inFlight: InFlight?
    public var counters: Counters?
    public var lastError: LastError?
    public var version: String

    public init(
        role: Role, live: Bool, ready: Bool, reasons: [String], source: Source, stream: Stream,
        inFlight: InFlight? = nil, counters: Counters? = nil, lastError: LastError? = nil,
        version: String = Slotstream.version
    ) {
        self.role = role
        self.live = live
        self.ready = ready
        self.reasons = reasons
        self.source = source
        self.stream = stream
        self.inFlight = inFlight
        self.counters = counters
        self.lastError = lastError
        self.version = version
    }

    /// One JSON object with sorted snake_case keys, on one line.
    public func json() -> String { ContractJSON.text(self) }

    /// Reads what `json()` wrote.
    /// - Throws: `DecodingError` if it is not such an object.
    public init(json: [UInt8]) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        self = try decoder.decode(StreamerStatus.self, from: Data(json))
    }
}

/// The program itself.
public enum Slotstream {
    /// The version that this source is; the newest heading of CHANGELOG.md.
    public static let version = "0.1.0"
}
