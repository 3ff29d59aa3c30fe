import Capture
import JetStreamPublishing
import Logging
import Metrics
import Synchronization
import Threads
import WAL

/// Publishes the retained window to the stream, chained and pipelined, and keeps the checkpoint record. It has a thread of its own: the one that owns the PostgreSQL connection never waits for NATS.
///
/// Whatever it asks of NATS, the clock or chance it asks `Port`.
///
/// Invariants:
/// 1. Every message carries the sequence that the one before it must have: a second writer of our kind cannot mix with us. A stray message of anybody else can take a number, and with it the place of one of ours.
/// 2. An event is released only by an ack with the stream's name, the expected sequence and no `duplicate`, contiguous with all before it, or because it was read in the stream exactly where it follows the one before it.
/// 3. Anything else means: stop, let settle, read every header behind what is proven, compare, go on from there. So it begins at the start, too.
/// 4. The record is put before its LSN is handed back for PostgreSQL, one put in flight, by compare-and-set.
///
/// Sendable because everything that is not an atomic, in a mutex or constant is touched by the delivery thread only, from `run()` on.
final class ChainedPublisher<Port: StreamPort>: @unchecked Sendable {
    /// So few events at once, or fewer, are sent without waiting for more: every PING costs both sides a system call or two.
    private static var trickleCount: Int { 32 }

    let configuration: StreamerConfiguration
    let window: RetainedWindow
    let port: Port
    let handover: Handover
    let observations: Observations
    let failpoints: Failpoints
    let logger: Logger
    /// A line for each ack costs more than the ack: asked once.
    let isTracing: Bool
    let identity: SourceIdentity
    let timelines: TimelineHistory
    /// Nothing is published but what is missing; nil: it streams.
    let mending: Mending?

    var chain: PublishChain
    var known: KnownEnd {
        didSet { handover.storedSequence.store(known.storedSequence, ordering: .releasing) }
    }
    /// What was read of the stream and not compared yet; while there is something nothing is sent.
    var comparison: StreamComparison?
    /// The comparison under way is the first: what a predecessor published is not known.
    var isFirstComparison = true
    /// Where the comparison ends: the stream's last sequence when it was read.
    var comparisonEnd: UInt64 = 0
    /// Answers to what was published in this epoch, other than that it is stored.
    var refusalCount = 0
    /// The fast batch that is under way.
    var fastBatch = FastBatch.none
    /// How holes are kept from being made, as far as server and stream can.
    var prevention = Prevention.none
    /// A message was refused for the id that it expected before it; and without anybody's fault, so that it is expected no more.
    var isMessageIDRefused = false
    var isMessageIDDistrusted = false
    /// Messages in flight at most: halved by strays, so that each costs less.
    var inFlightLimit: Int
    /// Of the newest event that a predecessor published: the transaction that is decoded for it must be that one.
    let newestCommit: StoredCommit?
    /// Looks at the slot when the comparison began, and events that were compared since.
    var comparisonInspection: UInt64 = 0
    var comparedCount: UInt64 = 0
    /// Messages that are not ours in what was read last, the first ones; and when one was told last: a flood is not told one by one.
    var strays: [Stray] = []
    var lastStrayReport: Instant?
    /// Strays were the last trouble, and it was told when.
    var lastFloodReport: Instant?
    var isContradictionTold = false
    var lastStrayLook: Instant
    /// Counted as the window counts: the next event to be published.
    var nextIndex: UInt64 = 0
    /// Events before it have been published at least once.
    var publishedCount: UInt64 = 0
    var trouble: (cause: ResynchronisationCause, detail: String)?
    var epoch: UInt32 = 1
    /// Resynchronisations since something was last stored.
    var fruitlessCount = 0
    /// The last refusal that was not for the message before.
    var lastRefusal: AckBatch.Refusal?
    var isIDStaged = false
    /// Since something was last stored.
    var stepDownCount = 0
    var backoff = Backoff()
    var replicaCount: Int
    /// While there is no connection: when one was last tried beside libnats'.
    var lastAttemptBeside: Instant?
    /// How far the wall clock is ahead of the monotonic one.
    var clockOffset: Duration
    var acks = AckBatch()
    /// Whole transactions go out as atomic batches.
    var isAtomic: Bool
    var isBatchInFlight = false
    /// Of the batch that was sent last. The first is random: what a predecessor still has on its way is no part of ours.
    var batchNumber: UInt64
    var batchEventCount = 0
    /// Events in a batch, at most, as far as is known of the server.
    var batchEventLimit = BatchMember.countLimit
    private var counters: [Counter] = []
    private var tallies: [Int64] = []

    var record: CheckpointRecord
    var revision: UInt64
    var putInFlight: (token: UInt64, record: CheckpointRecord, at: Instant)?
    var putCount: UInt64 = 0
    /// Why the record is not taken, as it was told last; nil: it is.
    var putRefusal: String?
    /// Since when the record is read as it was before.
    var staleReadSince: Instant?
    var isPutTroubleTold = false
    /// Since the stream was last read.
    var isReadTroubleTold = false
    var lastPutAt: Instant

    init(
        _ start: PublishingStart, configuration: StreamerConfiguration, handover: Handover, port: Port,
        observations: Observations, failpoints: Failpoints = .none, logger: Logger
    ) {
        self.configuration = configuration
        self.handover = handover
        window = handover.window
        self.port = port
        self.observations = observations
        self.failpoints = failpoints
        self.logger = logger
        isTracing = logger.logLevel <= .trace
        identity = start.identity
        timelines = start.timelines
        mending = start.mending
        newestCommit = start.newestCommit
        known = start.known
        record = start.record
        revision = start.revision
        replicaCount = start.replicaCount
        isAtomic = start.isAtomic
        inFlightLimit = configuration.delivery.inFlightMessages
        chain = PublishChain(lastSequence: start.known.settledSequence)
        batchNumber = port.random()
        clockOffset = port.wallClockOffset
        lastStrayLook = port.now
        lastPutAt = port.now
        port.beginEpoch(epoch)
    }

    /// The thread's function: returns when asked to stop, or with `failure` set.
    func run() {
        do throws(StreamerError) {
            report(.start, "the messages of the previous streamer are compared first")
            while !handover.isStopRequested.load(ordering: .acquiring) {
                try turn()
                port.wait(timeout: waitTime())
            }
        } catch {
            handover.failure.withLock { $0 = error }
        }
        handover.wakeSource()
    }

    /// Does what is to be done now, and waits for nothing but answers to what it asks.
    func turn() throws(StreamerError) {
        observations.turned(.delivery)
        try requireSteadyClock()
        takeEvents()
        try takeAcks()
        if chain.isOverdue(at: port.now, ackTimeout: configuration.delivery.ackTimeout) {
            report(.ackTimeout, "no ack for \(configuration.delivery.ackTimeout.milliseconds) ms")
        }
        while let trouble {
            self.trouble = nil
            try resynchronise(trouble.cause, trouble.detail)
            if handover.isStopRequested.load(ordering: .acquiring) { return }
        }
        try publish()
        if mending == nil {
            try keepCheckpoint()
            lookForStrays()
        }
        observe()
    }

    private func waitTime() -> Duration {
        if trouble != nil { return .zero }
        // The next thing that is due by time: a record, or an ack that does not come.
        return putInFlight != nil || chain.inFlightCount > 0 || isRecordBehind ? .milliseconds(50) : .milliseconds(500)
    }

    /// Remembers the first thing that went wrong since the last resynchronisation.
    func report(_ cause: ResynchronisationCause, _ detail: String) {
        if trouble == nil { trouble = (cause, detail) }
    }

    // MARK: - What is stored

    /// The oldest `count` events in flight are stored.
    func release(count: Int) {
        guard count > 0 else { return }
        let first = window.releasedCount.load(ordering: .relaxed)
        known.storedSequence = chain.firstInFlightToken - 1
        known.settledSequence = known.storedSequence
        releaseWindow(through: first + UInt64(count))
        // What strays took of the messages in flight comes back slowly.
        inFlightLimit = min(configuration.delivery.inFlightMessages, inFlightLimit + max(1, count / 8))
        if fruitlessCount > 1 { setConnected(true) }
        if lastRefusal != nil { forgetRefusals() }
        fruitlessCount = 0
        isIDStaged = false
        stepDownCount = 0
    }

    /// Lets go of what is stored, and counts it.
    func releaseWindow(through storedCount: UInt64) {
        let first = window.releasedCount.load(ordering: .relaxed)
        guard storedCount > first else { return }
        let now = port.wallClock
        for index in first..<storedCount {
            let header = window.header(at: index)
            // A clock may say anything: no difference of integers.
            observations.meters.duration.record(
                max(0, Double(now.rawValue) - Double(header.commitTimestamp.rawValue)) / 1_000_000)
            let kind = Int(header.kindIndex)
            while tallies.count <= kind { tallies.append(0) }
            tallies[kind] += 1
        }
        window.withEvent(at: storedCount - 1) { _, messageID, _ in
            known.storedID = MessageID(messageID.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) })
        }
        window.release(through: storedCount)
        countEvents()
        let count = storedCount - first
        if isTracing {
            logger.trace("events stored", metadata: ["count": .stringConvertible(count), "last_sequence": .stringConvertible(known.storedSequence)])
        }
        observations.meters.processed.increment(by: Int64(count))
        observations.eventCount.add(count, ordering: .relaxed)
        handover.wakeSource()
    }

    /// Hands the tallies on. A kind is announced by the other thread just after its first event: until then its tally waits.
    private func countEvents() {
        if counters.count < tallies.count {
            let kinds = observations.texts.withLock { $0.eventKinds }
            while counters.count < kinds.count { counters.append(observations.meters.events(of: kinds[counters.count])) }
        }
        for kind in 0..<min(counters.count, tallies.count) where tallies[kind] > 0 {
            counters[kind].increment(by: tallies[kind])
            tallies[kind] = 0
        }
    }

    /// Tells how much waits to be stored, and since when.
    func observe() {
        observations.inFlightCount.store(chain.inFlightCount, ordering: .relaxed)
        observations.lastSequence.store(known.settledSequence, ordering: .relaxed)
        let first = window.releasedCount.load(ordering: .relaxed)
        let isEmpty = window.appendedCount.load(ordering: .acquiring) == first
        observations.oldestCommit.store(
            isEmpty ? 0 : window.header(at: first).commitTimestamp.unixMicroseconds, ordering: .relaxed)
    }

    // MARK: - Publishing

    private func publish() throws(StreamerError) {
        let appended = window.appendedCount.load(ordering: .acquiring)
        guard try compareStored(appended), nextIndex < appended, trouble == nil else { return }
        let first = nextIndex
        if isAtomic {
            try publishTransactions(appended)
        } else {
            _ = try publishEach(through: appended)
        }
        if isTracing, nextIndex > first {
            logger.trace("events sent", metadata: ["count": .stringConvertible(nextIndex - first), "in_flight": .stringConvertible(chain.inFlightCount)])
        }
        guard nextIndex > first, !isBatchInFlight, fastBatch == .none else { return }
        if nextIndex - first <= Self.trickleCount, chain.inFlightCount <= 2 * Self.trickleCount {
            port.sendBuffered()
        }
    }

    /// Sends the events up to `end`, each by itself.
    /// - Returns: Whether all were sent, and no fast batch is open.
    func publishEach(through end: UInt64) throws(StreamerError) -> Bool {
        guard case .fastBatches = prevention else { return try publishChained(through: end) }
        return try publishFast(through: end)
    }

    /// Sends the events up to `end` as far as the window of messages in flight is open, each chained to the one before it.
    /// - Returns: Whether all were sent.
    func publishChained(through end: UInt64) throws(StreamerError) -> Bool {
        var now = port.now
        while nextIndex < end {
            guard chain.inFlightCount < inFlightLimit else { return false }
            let token = chain.nextToken
            do throws(JetStreamError) {
                try publishNext(token)
            } catch {
                try publishFailed(error)
                return false
            }
            published(at: now)
            // Acks are taken while there is much to send, so that the window of messages in flight stays open.
            if nextIndex % 256 == 0 {
                try takeAcks()
                if trouble != nil { return false }
                now = port.now
            }
        }
        return true
    }

    /// Hands the next event to libnats, chained to the one before it.
    private func publishNext(_ token: UInt64) throws(JetStreamError) {
        let namesPrevious = prevention.namesPrevious && chain.inFlightCount > 0
        try window.withEvent(at: nextIndex) { subject, messageID, payload throws(JetStreamError) in
            guard namesPrevious else {
                return try port.publish(
                    subject: subject, messageID: messageID, payload: payload, expectedLastSequence: token - 1, token: token,
                    epoch: epoch, previousMessageID: nil)
            }
            try window.withEvent(at: nextIndex - 1) { _, previousMessageID, _ throws(JetStreamError) in
                try port.publish(
                    subject: subject, messageID: messageID, payload: payload, expectedLastSequence: token - 1, token: token,
                    epoch: epoch, previousMessageID: previousMessageID)
            }
        }
    }

    /// libnats has taken the next event.
    func published(at now: Instant) {
        chain.accepted(at: now)
        failpoints.reached(.afterSend)
        if nextIndex < publishedCount {
            observations.meters.retried.increment()
        } else {
            publishedCount = nextIndex + 1
        }
        nextIndex += 1
    }

    func publishFailed(_ error: JetStreamError) throws(StreamerError) {
        switch error {
        case .payloadTooLarge, .invalidMessage, .wedged, .configuration, .connectionClosed: throw .jetStream(error)
        case .authorization, .tls, .permission, .notConnected, .timedOut, .noResponders, .api, .malformedResponse,
            .client:
            report(.publishFailed, "\(error)")
        }
    }
}
