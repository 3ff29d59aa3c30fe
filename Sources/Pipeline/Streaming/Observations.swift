import Capture
import History
package import Metrics
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What is observed of a streamer while it runs: the source of `/status`, `/readyz` and the metrics.
///
/// Written by the two data threads with atomics, read by the HTTP server's. Counters are swift-metrics' own.
package final class Observations: Sendable {
    /// Without a turn of one of its loops for this long the streamer is not live.
    static let livenessLimit = LongTime.liveness.duration

    /// Errors that are kept.
    static let troubleLimit = 20

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
        /// As PostgreSQL showed the slot last; nil: there is none, or PostgreSQL cannot be asked now.
        var slot: SlotState?
        var lag = LagClock()
        var rateMemory = RateMemory()
        var stream: StreamerStatus.Stream
        /// Of a streamer before this one; nil: there was none, or it is not read yet.
        var lastStop: LastStop?
        /// The run that is under way, as the record has it.
        var backfill: StreamerStatus.Backfill?
        /// As it was looked at last; nil: it was not.
        var streamFacts: StreamFacts?
        var lastError: StreamerStatus.LastError?
        /// The errors before it too.
        var troubles = LatestFew<RecentActivity.Trouble>(limit: Observations.troubleLimit)
        var isPostgresConnected = false
        /// A session of this streamer has the slot.
        var isSlotHeld = false
        /// The walsender owes an answer.
        var isWalsenderSilent = false
        var isNATSConnected = false
        /// Whom the attempts of now are about; nil: a session streams, or none has failed.
        var awaited: Peer?
        /// For what PostgreSQL waits while it makes the slot; nil: it makes none, or has nothing to wait for.
        var slotWait: String?
        /// What JetStream refuses again and again, in its own words.
        var refusal: String?
        /// nil: there is no anchor slot, or it was not looked at yet.
        var window: WindowSight?
        var eventKinds: [EventKind] = []
        /// As it was told last; nil: it was not read yet.
        var publication: PublicationContents?
        /// It has no table, though `source.tables` is not empty.
        var isNothingPublished = false
        /// Why it has stopped for good: the reason and what happened; nil: it has not, or it was asked to.
        var stop: String?
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
    /// When this streamer stored the checkpoint record last, in nanoseconds of the monotonic clock; 0: nobody knows, or it is another's to store.
    let recordedAt = Atomic<UInt64>(0)
    /// By the delivery thread at each release, never for long by whoever reads it.
    let storedMemory = Mutex(StoredMemory())
    let lastHour = Mutex(LastHour())
    /// Messages of others found in the stream.
    let strayCount = Atomic<UInt64>(0)
    /// Changes that could not be events: published without their data, in quarantine, and passed over on purpose.
    let referenceCount = Atomic<UInt64>(0)
    let quarantinedCount = Atomic<UInt64>(0)
    let skippedCount = Atomic<UInt64>(0)
    /// A lost end is stored again: the anchor stays where it is.
    let isRepairing = Atomic<Bool>(false)
    private let lastSourceTurn: Atomic<UInt64>
    /// 0: it does not run.
    private let lastDeliveryTurn = Atomic<UInt64>(0)
    let texts: Mutex<Texts>
    let slot: String
    let readyMaxLagBytes: UInt64
    let meters: Meters
    let watchMeters: WatchMeters

    package init(slot: String, stream: String, readyMaxLagBytes: UInt64, metrics: any MetricsFactory) {
        lastSourceTurn = Atomic(Instant.now.nanoseconds)
        texts = Mutex(Texts(stream: StreamerStatus.Stream(name: stream)))
        self.slot = slot
        self.readyMaxLagBytes = readyMaxLagBytes
        meters = Meters(factory: metrics)
        watchMeters = WatchMeters(factory: metrics)
    }

    /// The loop has turned: it read, wrote or waited as it should.
    func turned(_ loop: Loop) {
        let now = Instant.now.nanoseconds
        switch loop {
        case .source: lastSourceTurn.store(now, ordering: .relaxed)
        case .delivery: lastDeliveryTurn.store(now, ordering: .relaxed)
        }
    }

    /// The checkpoint record was stored.
    func recorded(at now: Instant) { recordedAt.store(now.nanoseconds, ordering: .relaxed) }

    /// The session is over, and its delivery thread with it.
    func deliveryEnded() { lastDeliveryTurn.store(0, ordering: .relaxed) }

    /// How long the loop has not turned; nil: it does not run.
    func quietTime(of loop: Loop, at now: Instant) -> Duration? {
        let last =
            switch loop {
            case .source: lastSourceTurn.load(ordering: .relaxed)
            case .delivery: lastDeliveryTurn.load(ordering: .relaxed)
            }
        return last == 0 ? nil : now.duration(since: Instant(nanoseconds: last))
    }

    func failed(_ reason: String, _ message: String) {
        let at = PostgresTimestamp.now.description
        let error = StreamerStatus.LastError(reason: reason, at: at, message: ShownText.line(message))
        texts.withLock { texts in
            texts.lastError = error
            var trouble = RecentActivity.Trouble(error)
            if let newest = texts.troubles.newest, (newest.reason, newest.message) == (trouble.reason, trouble.message) {
                trouble.count = newest.count + 1
                texts.troubles.replaceNewest(by: trouble)
            } else {
                texts.troubles.append(trouble)
            }
        }
    }

    /// What was published of changes that could not be events, since it was counted last.
    func poisoned(_ tally: PoisonTally, since counted: PoisonTally) {
        let references = tally.referredCount - counted.referredCount
        let quarantined = tally.quarantinedCount - counted.quarantinedCount
        let skipped = tally.skippedCount - counted.skippedCount
        referenceCount.add(references, ordering: .relaxed)
        quarantinedCount.add(quarantined, ordering: .relaxed)
        skippedCount.add(skipped, ordering: .relaxed)
        meters.poisoned(references: Int64(references), quarantined: Int64(quarantined), skipped: Int64(skipped))
    }

    /// The connection to this server is made again, or is about to be: counted when that begins, for nobody knows how often it will be.
    func reconnecting(to peer: Peer) {
        reconnectCount.add(1, ordering: .relaxed)
        meters.reconnecting(to: peer)
    }

    /// A session is over, or an attempt at one.
    /// - Returns: Whether it had the slot.
    func disconnected(by error: StreamerError, isStandingBy: Bool) -> Bool {
        let hadSlot = texts.withLock { texts in
            defer {
                // In one step: a standby, which looks at the slot again and again, is ready throughout.
                texts.role = isStandingBy ? .standby : .active
                texts.isSlotHeld = false
                texts.isWalsenderSilent = false
                texts.isNATSConnected = false
                texts.awaited = isStandingBy ? nil : error.peer
            }
            return texts.isSlotHeld
        }
        recordedAt.store(0, ordering: .relaxed)
        inFlightCount.store(0, ordering: .relaxed)
        retainedByteCount.store(0, ordering: .relaxed)
        if !error.leavesPostgres { lostSight() }
        if isStandingBy {
            // What waited here is another streamer's to store by now.
            oldestCommit.store(0, ordering: .relaxed)
            receivedLSN.store(0, ordering: .relaxed)
            texts.withLock { texts in
                texts.streamFacts = nil
                texts.backfill = nil
            }
        }
        return hadSlot
    }

    // MARK: - What PostgreSQL says of the slot

    /// PostgreSQL was asked; nil: it has no such slot.
    func saw(_ slot: SlotState?, at now: Instant = .now) {
        texts.withLock { texts in
            texts.isPostgresConnected = true
            texts.slot = slot
            guard let slot else { return }
            texts.lag.looked(slot.currentWALLSN, at: now)
            texts.rateMemory.saw(walLSN: slot.currentWALLSN, eventCount: eventCount.load(ordering: .relaxed), at: now)
            guard let confirmed = slot.confirmedFlushLSN?.rawValue else { return }
            let isOtherServer = slot.currentWALLSN.rawValue < storedLSN.load(ordering: .relaxed)
            // Outside of a session nobody else tells how far the stream is.
            if isOtherServer && !texts.isSlotHeld || confirmed > storedLSN.load(ordering: .relaxed) {
                storedLSN.store(confirmed, ordering: .relaxed)
            }
            if !texts.isSlotHeld || confirmed > confirmedLSN.load(ordering: .relaxed) {
                confirmedLSN.store(confirmed, ordering: .relaxed)
            }
        }
    }

    /// PostgreSQL cannot be asked now.
    /// - Parameter isConnected: Its walsender is heard all the same.
    func lostSight(isConnected: Bool = false) {
        texts.withLock { texts in
            texts.slot = nil
            texts.isPostgresConnected = texts.isPostgresConnected && isConnected
        }
    }

    /// When the newest change that is stored was committed: what is not stored is no older.
    func learned(newestStored: PostgresTimestamp) {
        let age = Duration.microseconds(max(0, PostgresTimestamp.now.unixMicroseconds &- newestStored.unixMicroseconds))
        texts.withLock { $0.lag.learned(age: age, at: .now) }
    }

    /// WAL that the server has and the stream has not; nil: nobody knows.
    func lagByteCount(_ texts: Texts) -> UInt64? {
        guard let slot = texts.slot else { return nil }
        let received = LSN(receivedLSN.load(ordering: .relaxed))
        let end = texts.isSlotHeld ? max(slot.currentWALLSN, received) : slot.currentWALLSN
        return end.byteCount(since: LSN(storedLSN.load(ordering: .relaxed)))
    }

    /// For how long the oldest committed change that is not stored has been waiting, in seconds; nil: nobody knows.
    func lagSeconds(at now: Instant) -> Double? {
        let oldest = oldestCommit.load(ordering: .relaxed)
        if oldest != 0 { return max(0, Double(PostgresTimestamp.now.unixMicroseconds) - Double(oldest)) / 1e6 }
        return texts.withLock { texts in
            texts.lag.stored(upTo: LSN(storedLSN.load(ordering: .relaxed)))
            guard let age = texts.lag.age(at: now) else { return nil }
            // Whether anything waits can only be told by whoever can be asked.
            return age > .zero || texts.slot != nil ? age.seconds : nil
        }
    }
}
