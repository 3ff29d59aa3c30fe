import Capture
package import History
import JetStreamPublishing
package import Logging
import PostgresReplication
package import Threads
package import WAL

/// Publishes a range of the past once more, into another stream: from WAL that the replay window keeps, or from the live stream.
package enum Replay {
    /// What the events are read from.
    package enum Source: String, CaseIterable, Sendable {
        /// From the window what it reaches, and what is older from the stream.
        case auto
        case wal
        case stream
    }

    /// What is to be replayed, and where to.
    package struct Request: Sendable {
        package var range: EventRange
        package var source = Source.auto
        package var filter = EventFilter()
        /// Whose copy is read; nil: the anchor's.
        package var slot: String?
        package var intoPrefix: String?
        package var intoStream: String?
        /// What the target holds is passed over.
        package var isMissingOnly = false
        /// Events a second, at most; nil: as fast as it goes.
        package var rate: Int?
        /// Counts, publishes nothing.
        package var isDryRun = false
        /// One token; part of each id.
        package var replayID: String
        /// The target may hold a part of it already.
        package var isResumed = false

        package init(range: EventRange, replayID: String) {
            self.range = range
            self.replayID = replayID
        }
    }

    /// How far back it can be read, from what.
    package struct Reach: Sendable, Equatable {
        /// Of the window; nil: there is none.
        package var windowLSN: LSN?
        /// Of the stream's first event; nil: it holds none.
        package var streamLSN: LSN?
        package var streamTime: PostgresTimestamp?
    }

    /// What came of it.
    package struct Outcome: Sendable, Equatable {
        package var replayID: String
        /// Empty: a dry run without a target.
        package var stream = ""
        package var isNewStream = false
        package var published: UInt64 = 0
        /// The target held them already.
        package var skipped: UInt64 = 0
        /// Of the published ones, by subject.
        package var bySubject: [String: UInt64] = [:]
        package var byteCount: UInt64 = 0
        /// Read from the live stream, since the window does not reach them.
        package var fromStream: UInt64 = 0
        package var firstLSN: LSN?
        package var lastLSN: LSN?
        package var firstTime: PostgresTimestamp?
        package var lastTime: PostgresTimestamp?
        package var reach = Reach()
        /// The entities of the range, where the filter let none of them pass.
        package var otherEntities: Set<String> = []
    }

    /// How it is going.
    package struct Progress: Sendable {
        package var published: UInt64
        package var skipped: UInt64
        /// Of the range, from 0 to 1.
        package var fraction: Double
    }

    /// - Parameters:
    ///   - onBegin: Told where it goes before the first event is published.
    ///   - onProgress: Called in every turn.
    /// - Throws: `.stop` with 78 for a target or range that cannot be; what the connections throw.
    package static func run(
        _ configuration: StreamerConfiguration, _ request: Request, failpoints: Failpoints = .none, logger: Logger,
        onBegin: (Outcome) -> Void = { _ in }, onProgress: @escaping (Progress) -> Void = { _ in }
    ) throws(StreamerError) -> Outcome {
        let live = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { live.connection.close() }
        let stored = try StoredPast(configuration, over: live.connection)
        let run = ReplayRun(request, configuration, failpoints: failpoints, onProgress: onProgress)
        run.outcome.reach.streamLSN = stored.first?.position.commitLSN
        run.outcome.reach.streamTime = stored.first?.commitTimestamp

        let wake = live.wake
        var target: NATSLink?
        defer { target?.connection.close() }
        if request.intoPrefix != nil || request.intoStream != nil {
            let found = try ReplayTarget.find(
                prefix: request.intoPrefix, stream: request.intoStream, configuration, isDryRun: request.isDryRun, over: live.connection)
            run.outcome.stream = found.stream
            run.outcome.isNewStream = found.isNew
            run.prefix = found.prefix
            if !request.isDryRun {
                let link = try NATSLink.connected(configuration.nats, stream: found.stream)
                target = link
                run.target = found
            }
        }

        var past: PastReader?
        if request.source != .stream {
            do throws(StreamerError) {
                let reader = try PastReader(configuration, slot: request.slot, wake: target?.wake ?? wake, logger: logger)
                past = reader
                run.outcome.reach.windowLSN = reader.reachLSN
            } catch {
                // Without a window the stream is all there is.
                guard request.source == .auto, request.slot == nil, case .stop(.configuration, _, _) = error else { throw error }
            }
        }
        let range = try stored.resolve(request.range)
        let plan = try ReplayPlan(range, request, stored, reachLSN: past?.reachLSN)
        run.range = range
        if let target, let found = run.target, let identity = past?.identity ?? stored.identity {
            try run.aim(at: found, over: target, identity)
        }
        onBegin(run.outcome)
        try run.read(plan, stored, past, payloadLimit: Self.payloadLimit((target ?? live).connection, run.target))
        return run.outcome
    }

    /// The payload that server and target take, less the headers: an id has at most 140 bytes here.
    private static func payloadLimit(_ connection: JetStreamConnection, _ target: ReplayTarget?) -> Int {
        connection.payloadLimit(messageSizeLimit: target?.maxMessageSize, messageIDByteCount: 140, isBatched: false)
    }
}

/// Which events are meant.
package struct EventFilter: Sendable, Equatable {
    /// An entity, or a table's name; nil: all.
    package var entity: String?
    package var operation: String?
    /// `schema.table`; nil: all.
    package var table: String?

    package init(entity: String? = nil, operation: String? = nil, table: String? = nil) {
        self.entity = entity
        self.operation = operation
        self.table = table
    }
}

/// From what which part of a range is read.
struct ReplayPlan: Equatable {
    /// Sequences of the live stream whose events are read from it; nil: none.
    var sequences: ClosedRange<UInt64>?
    /// Events from this position on come from WAL; nil: none do.
    var walFrom: LSN?
    /// Only what commits before it.
    var walEnd: LSN = .invalid

    init(_ range: ResolvedRange, _ request: Replay.Request, _ stored: StoredPast, reachLSN: LSN?) throws(StreamerError) {
        let lower = try stored.lowerLSN(of: range)
        let end = stored.end(of: range)
        guard let reachLSN else {
            sequences = try stored.sequences(from: lower, before: end)
            return
        }
        walEnd = end
        if lower >= reachLSN || lower == .invalid && request.source == .wal {
            walFrom = max(lower, reachLSN)
            return
        }
        guard request.source == .auto else {
            throw .stop(
                .configuration, what: "the range begins at \(lower), and the slot reaches back to \(reachLSN) only",
                remedy: "Read what is older from the stream: --from auto. Or begin later: --from-lsn \(reachLSN)")
        }
        sequences = try stored.sequences(from: lower, before: min(end, reachLSN))
        walFrom = end > reachLSN ? reachLSN : nil
    }
}
