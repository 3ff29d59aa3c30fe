package import History

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a streamer is doing, at one moment: the object of `status --json` and of `GET /status`.
///
/// Encoded with snake_case names. Unknown is absent, never a placeholder. LSNs are text, sizes bytes, durations seconds,
/// times RFC 3339.
package struct StreamerStatus: Codable, Sendable, Equatable {
    package enum Role: String, Codable, Sendable, CaseIterable {
        /// Holds the slot, or is about to: connecting, recovering, streaming.
        case active
        /// Waits for another streamer to release the slot.
        case standby
        /// No streamer runs, or it has stopped for good.
        case stopped
    }

    package struct Source: Codable, Sendable, Equatable {
        package var systemId: String?
        package var timeline: UInt32?
        package var database: String?
        package var slot: String
        package var plugin: String?
        package var walStatus: String?
        package var receivedLsn: String?
        package var storedLsn: String?
        package var confirmedLsn: String?
        package var lagBytes: UInt64?
        package var lagSeconds: Double?
        package var retainedBytes: UInt64?
        package var safeBytes: Int64?
        /// The server, as the connection string names it; a folder: its Unix socket's.
        package var host: String?
        package var serverVersion: String?
        /// How far the server has written.
        package var walLsn: String?
        /// `max_slot_wal_keep_size` in bytes; -1: no limit.
        package var walLimitBytes: Int64?
        /// Of the disk with the server's data; nil: the server is not on this machine, or does not tell where they are.
        package var diskFreeBytes: UInt64?
        /// In about how long the slot is lost, or that disk is full, if from now on nothing is confirmed.
        package var fullInSeconds: Double?
        /// Tables whose rows are published.
        package var publishedTables: Int?
        /// Those of them of which UPDATE and DELETE fail in the application, or whose partitions' do; the first hundred.
        package var tablesWithoutIdentity: [String]?

        package init(slot: String) { self.slot = slot }
    }

    package struct Stream: Codable, Sendable, Equatable {
        package var name: String
        package var leader: String?
        package var firstSequence: UInt64?
        package var lastSequence: UInt64?
        package var messages: UInt64?
        package var bytes: UInt64?
        package var replicas: Int?
        /// What retention lets stand; nil: not known, or no limit.
        package var maxBytes: UInt64?
        package var maxMessages: UInt64?
        package var maxAgeSeconds: Double?
        /// What a full stream does: `old` removes the oldest messages, `new` refuses new ones.
        package var discard: String?
        /// The server that answered.
        package var host: String?
        /// When the oldest and the newest message were stored; RFC 3339.
        package var firstTime: String?
        package var lastTime: String?
        /// In about how long the oldest messages go because of `max_bytes` or `max_msgs`; 0: they go now.
        package var fullInSeconds: Double?

        package init(name: String) { self.name = name }
    }

    /// How much happens, on average over some time.
    package struct Rates: Codable, Sendable, Equatable {
        /// Events stored; nil: nobody knows.
        package var eventsPerSecond: Double?
        /// WAL that the server writes; nil: nobody knows.
        package var walBytesPerSecond: Double?
        /// Over how long.
        package var seconds: Double

        package init(eventsPerSecond: Double? = nil, walBytesPerSecond: Double? = nil, seconds: Double) {
            self.eventsPerSecond = eventsPerSecond
            self.walBytesPerSecond = walBytesPerSecond
            self.seconds = seconds
        }
    }

    /// A durable consumer of the stream.
    package struct Consumer: Codable, Sendable, Equatable {
        package var name: String
        /// Messages that were not delivered yet.
        package var pending: UInt64
        /// Messages that were delivered and not acknowledged.
        package var ackPending: UInt64
        /// The stream sequence of the last message delivered.
        package var delivered: UInt64
        /// The stream sequence up to which all is acknowledged.
        package var ackFloor: UInt64
        /// Of the stream's retention, 0 to 1, before it loses something that it has not acknowledged.
        package var retentionLeft: Double?

        package init(
            name: String, pending: UInt64, ackPending: UInt64 = 0, delivered: UInt64, ackFloor: UInt64, retentionLeft: Double? = nil
        ) {
            self.name = name
            self.pending = pending
            self.ackPending = ackPending
            self.delivered = delivered
            self.ackFloor = ackFloor
            self.retentionLeft = retentionLeft
        }

        package init(_ standing: ConsumerStanding) {
            name = standing.name
            pending = standing.pendingCount
            ackPending = standing.ackPendingCount
            delivered = standing.deliveredSequence
            ackFloor = standing.ackFloorSequence
            retentionLeft = standing.retentionLeft
        }
    }

    package struct Checkpoint: Codable, Sendable, Equatable {
        /// For how long the record stands as it is.
        package var ageSeconds: Double
    }

    /// How far back `replay` and `verify` reach.
    package struct Window: Codable, Sendable, Equatable {
        /// The anchor.
        package var slot: String
        /// What commits at or after it is within reach.
        package var fromLsn: String?
        /// What was committed since then is within reach; nil: not known yet.
        package var fromTime: String?
        /// WAL that PostgreSQL keeps for the anchor.
        package var bytes: UInt64?

        package init(slot: String, fromLsn: String? = nil, fromTime: String? = nil, bytes: UInt64? = nil) {
            self.slot = slot
            self.fromLsn = fromLsn
            self.fromTime = fromTime
            self.bytes = bytes
        }
    }

    package struct InFlight: Codable, Sendable, Equatable {
        /// Events handed to libnats and not yet acknowledged.
        package var messages: Int
        /// Bytes of all retained events: accepted or not, none of them known to be stored.
        package var bytes: Int

        package init(messages: Int, bytes: Int) {
            self.messages = messages
            self.bytes = bytes
        }
    }

    package struct Counters: Codable, Sendable, Equatable {
        package var transactions: UInt64
        package var events: UInt64
        package var resynchronisations: UInt64
        package var reconnects: UInt64
        /// Messages of others found in the stream; nil: a version before they were told.
        package var strays: UInt64?
        /// Changes that could not be events: published without their data, in quarantine, and passed over on purpose; nil: a version before they were told.
        package var references: UInt64?
        package var quarantined: UInt64?
        package var skipped: UInt64?

        package init(
            transactions: UInt64, events: UInt64, resynchronisations: UInt64, reconnects: UInt64, strays: UInt64? = nil, references: UInt64? = nil,
            quarantined: UInt64? = nil, skipped: UInt64? = nil
        ) {
            self.transactions = transactions
            self.events = events
            self.resynchronisations = resynchronisations
            self.reconnects = reconnects
            self.strays = strays
            self.references = references
            self.quarantined = quarantined
            self.skipped = skipped
        }
    }

    package struct LastError: Codable, Sendable, Equatable {
        package var reason: String
        package var at: String
        package var message: String

        package init(reason: String, at: String, message: String) {
            self.reason = reason
            self.at = at
            self.message = message
        }
    }

    package var schema = "slotstream.status/1"
    package var role: Role
    /// Each of its loops turned within the last 30 s.
    package var live: Bool
    /// Connected to both servers and not behind the configured limit; a standby is ready.
    package var ready: Bool
    /// Why it is not ready or not live, one sentence each.
    package var reasons: [String]
    package var source: Source
    package var stream: Stream
    /// nil: not known.
    package var consumers: [Consumer]?
    package var checkpoint: Checkpoint?
    package var inFlight: InFlight?
    /// nil: there is no anchor slot, or PostgreSQL was not asked yet.
    package var window: Window?
    package var counters: Counters?
    package var lastError: LastError?
    /// The run that is under way; nil: none is, or nobody knows.
    package var backfill: Backfill?
    /// Why the last streamer stopped for good, where none has streamed since.
    package var lastStop: LastStop?
    /// What to do about the reasons, or about the last stop: sentences and commands, in their order; nil: nothing.
    package var next: [String]?
    package var rates: Rates?
    /// When this was read; RFC 3339.
    package var at: String?
    package var version: String

    package init(
        role: Role, live: Bool, ready: Bool, reasons: [String], source: Source, stream: Stream,
        inFlight: InFlight? = nil, window: Window? = nil, counters: Counters? = nil, lastError: LastError? = nil,
        version: String = Slotstream.version
    ) {
        self.role = role
        self.live = live
        self.ready = ready
        self.reasons = reasons
        self.source = source
        self.stream = stream
        self.inFlight = inFlight
        self.window = window
        self.counters = counters
        self.lastError = lastError
        self.version = version
    }

    /// One JSON object with sorted snake_case keys, on one line.
    package func json() -> String { ContractJSON.text(self) }

    /// Reads what `json()` wrote.
    /// - Throws: `DecodingError` if it is not such an object.
    package init(json: [UInt8]) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        self = try decoder.decode(StreamerStatus.self, from: Data(json))
    }
}

/// The program itself.
package enum Slotstream {
    /// The version that this source is; the newest heading of CHANGELOG.md.
    package static let version = "0.1.0"
}
