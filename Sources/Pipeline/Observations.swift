import Capture
public import Metrics
import Synchronization
import WAL

/// What is observed of a streamer while it runs: the source of `/status`, `/readyz` and the metrics.
///
/// Written by the two data threads with atomics, read by the HTTP server's. Counters are swift-metrics' own.
public final class Observations: Sendable {
    /// Without a turn of one of its loops for this long the streamer is not live.
    static let livenessLimit = Duration.seconds(30)

    /// What has to turn as long as it runs; each is a thread's.
    enum Loop: String, CaseIterable {
        case source = "the loop that reads from PostgreSQL"
        case delivery = "the loop that publishes to NATS"
    }

    struct Texts: Sendable {
        var role = StreamerStatus.Role.active
        var systemID: String?
        var timeline: UInt32?
        var database: String?
        var plugin: String?
        var walStatus: String?
        var retainedBytes: UInt64?
        var safeBytes: Int64?
        var serverLSN = LSN.invalid
        var stream: StreamerStatus.Stream
        var lastError: StreamerStatus.LastError?
        var isPostgresConnected = false
        /// The walsender owes an answer.
        var isWalsenderSilent = false
        var isNATSConnected = false
        /// For what PostgreSQL waits while it makes the slot; nil: it makes none, or has nothing to wait for.
        var slotWait: String?
        /// What JetStream refuses again and again, in its own words.
        var refusal: String?
        var eventKinds: [EventKind] = []
    }

    let receivedLSN = Atomic<UInt64>(0)
    let storedLSN = Atomic<UInt64>(0)
    let confirmedLSN = Atomic<UInt64>(0)
    let inFlightCount = Atomic<Int>(0)
    let retainedByteCount = Atomic<Int>(0)
    /// Commit time of the oldest retained event, microseconds since 1970; 0: none is retained.
    let oldestCommit = Atomic<Int64>(0)
    let lastSequence = Atomic<UInt64>(0)
    let transactionCount = Atomic<UInt64>(0)
    let eventCount = Atomic<UInt64>(0)
    let resynchronisationCount = Atomic<UInt64>(0)
    let reconnectCount = Atomic<UInt64>(0)
    /// Messages of others found in the stream.
    let strayCount = Atomic<UInt64>(0)
    private let lastSourceTurn: Atomic<UInt64>
    /// 0: it does not run.
    private let lastDeliveryTurn = Atomic<UInt64>(0)
    /// When somebody last asked over HTTP, and nobody has cleaned up after it; 0: nothing is to be cleaned up.
    private let lastAsked = Atomic<UInt64>(0)
    let texts: Mutex<Texts>
    let slot: String
    private let readyMaxLagBytes: UInt64
    let meters: Meters

    public init(slot: String, stream: String, readyMaxLagBytes: UInt64, metrics: any MetricsFactory) {
        lastSourceTurn = Atomic(Instant.now.nanoseconds)
        texts = Mutex(Texts(stream: StreamerStatus.Stream(name: stream)))
        self.slot = slot
        self.readyMaxLagBytes = readyMaxLagBytes
        meters = Meters(factory: metrics)
    }

    /// The loop has turned: it read, wrote or waited as it should.
    func turned(_ loop: Loop) {
        let now = Instant.now.nanoseconds
        switch loop {
        case .source: lastSourceTurn.store(now, ordering: .relaxed)
        case .delivery: lastDeliveryTurn.store(now, ordering: .relaxed)
        }
    }

    /// The session is over, and its delivery thread with it.
    func deliveryEnded() { lastDeliveryTurn.store(0, ordering: .relaxed) }

    /// How long the loop has not turned; nil: it does not run.
    private func quietTime(of loop: Loop, at now: Instant) -> Duration? {
        let last =
            switch loop {
            case .source: lastSourceTurn.load(ordering: .relaxed)
            case .delivery: lastDeliveryTurn.load(ordering: .relaxed)
            }
        return last == 0 ? nil : now.duration(since: Instant(nanoseconds: last))
    }

    /// Whether the last answer over HTTP was given a while ago; true once an answer.
    func hasAnswered(at now: Instant) -> Bool {
        let asked = lastAsked.load(ordering: .relaxed)
        guard asked > 0, now.duration(since: Instant(nanoseconds: asked)) > .milliseconds(200) else { return false }
        return lastAsked.compareExchange(expected: asked, desired: 0, ordering: .relaxed).exchanged
    }

    func failed(_ reason: String, _ message: String) {
        let at = PostgresTimestamp.now.description
        texts.withLock { $0.lastError = StreamerStatus.LastError(reason: reason, at: at, message: ShownText.cut(message)) }
    }

    /// The object of `/status`.
    public func status() -> StreamerStatus {
        let now = Instant.now
        lastAsked.store(now.nanoseconds, ordering: .relaxed)
        return status(at: now)
    }

    /// As `status()`, with liveness judged at `now`.
    func status(at now: Instant) -> StreamerStatus {
        let texts = texts.withLock { $0 }
        var reasons: [String] = []
        for loop in Loop.allCases {
            guard let quiet = quietTime(of: loop, at: now), quiet >= Self.livenessLimit else { continue }
            reasons.append("\(loop.rawValue) has not turned for \(Int(quiet.seconds)) s")
        }
        let isLive = reasons.isEmpty
        let lagBytes = lagByteCount(texts)
        var isReady = isLive
        switch texts.role {
        case .standby: break
        case .stopped:
            isReady = false
            reasons.append("stopped")
        case .active:
            if let wait = texts.slotWait {
                reasons.append(wait)
            } else if !texts.isPostgresConnected {
                reasons.append("not connected to PostgreSQL")
            }
            if texts.isWalsenderSilent { reasons.append("PostgreSQL's walsender does not answer") }
            if !texts.isNATSConnected, texts.slotWait == nil { reasons.append(texts.refusal ?? "not connected to NATS, or resynchronising") }
            isReady = isReady && texts.isPostgresConnected && !texts.isWalsenderSilent && texts.isNATSConnected
            if readyMaxLagBytes > 0, lagBytes > readyMaxLagBytes {
                isReady = false
                reasons.append("\(lagBytes) bytes behind, allowed are \(readyMaxLagBytes)")
            }
        }
        var source = StreamerStatus.Source(slot: slot)
        source.systemId = texts.systemID
        source.timeline = texts.timeline
        source.database = texts.database
        source.plugin = texts.plugin
        source.walStatus = texts.walStatus
        source.receivedLsn = text(receivedLSN)
        source.storedLsn = text(storedLSN)
        source.confirmedLsn = text(confirmedLSN)
        source.lagBytes = lagBytes
        source.lagSeconds = lagSeconds
        source.retainedBytes = texts.retainedBytes
        source.safeBytes = texts.safeBytes
        var stream = texts.stream
        stream.lastSequence = max(stream.lastSequence ?? 0, lastSequence.load(ordering: .relaxed))
        return StreamerStatus(
            role: texts.role, live: isLive, ready: isReady, reasons: reasons, source: source, stream: stream,
            inFlight: StreamerStatus.InFlight(
                messages: inFlightCount.load(ordering: .relaxed), bytes: retainedByteCount.load(ordering: .relaxed)),
            counters: StreamerStatus.Counters(
                transactions: transactionCount.load(ordering: .relaxed), events: eventCount.load(ordering: .relaxed),
                resynchronisations: resynchronisationCount.load(ordering: .relaxed),
                reconnects: reconnectCount.load(ordering: .relaxed), strays: strayCount.load(ordering: .relaxed)),
            lastError: texts.lastError)
    }

    /// Sets every gauge to what it is now; called before the metrics are rendered.
    public func refreshMetrics() {
        lastAsked.store(Instant.now.nanoseconds, ordering: .relaxed)
        let texts = texts.withLock { $0 }
        meters.lagBytes.record(Int64(clamping: lagByteCount(texts)))
        meters.lagSeconds.record(lagSeconds)
        if let bytes = texts.retainedBytes { meters.slotRetainedBytes.record(Int64(clamping: bytes)) }
        if let bytes = texts.safeBytes {
            meters.slotSafeBytes.record(bytes)
        } else if texts.plugin != nil {
            // Without max_slot_wal_keep_size there is no limit.
            meters.slotSafeBytes.record(Double.infinity)
        }
        let isConnected = texts.isPostgresConnected && !texts.isWalsenderSilent && texts.isNATSConnected
        meters.slotActive.record(texts.isPostgresConnected ? 1 : 0)
        meters.confirmedLSN.record(Int64(clamping: confirmedLSN.load(ordering: .relaxed)))
        meters.receivedLSN.record(Int64(clamping: receivedLSN.load(ordering: .relaxed)))
        meters.inFlightMessages.record(inFlightCount.load(ordering: .relaxed))
        meters.inFlightBytes.record(retainedByteCount.load(ordering: .relaxed))
        meters.up.record(isConnected ? 1 : 0)
    }

    /// WAL that the server has and the stream has not.
    private func lagByteCount(_ texts: Texts) -> UInt64 {
        let received = LSN(receivedLSN.load(ordering: .relaxed))
        return max(texts.serverLSN, received).byteCount(since: LSN(storedLSN.load(ordering: .relaxed)))
    }

    private var lagSeconds: Double {
        let oldest = oldestCommit.load(ordering: .relaxed)
        return oldest == 0 ? 0 : max(0, Double(PostgresTimestamp.now.unixMicroseconds) - Double(oldest)) / 1e6
    }

    private func text(_ lsn: borrowing Atomic<UInt64>) -> String? {
        let value = lsn.load(ordering: .relaxed)
        return value == 0 ? nil : LSN(value).description
    }
}
