import Capture
import CoreMetrics
import History
import JetStreamPublishing
package import Logging
import Synchronization
package import Threads
import WAL

/// Publishes the retained window to the stream, chained and pipelined. It has a thread of its own: the one that owns the PostgreSQL connection never waits for NATS.
///
/// What it does next is `PublishingMachine`'s to say, what the record says the `Checkpointer`'s. Whatever it asks of NATS, the clock or chance it asks `Port`.
///
/// Invariants:
/// 1. Every message carries the sequence that the one before it must have: a second writer of our kind cannot mix with us. A stray message of anybody else can take a number, and with it the place of one of ours.
/// 2. An event is released only by an ack with the stream's name, the expected sequence and no `duplicate`, contiguous with all before it, or because it was read in the stream exactly where it follows the one before it.
/// 3. Anything else means: stop, let settle, read every header behind what is proven, compare, go on from there. So it begins at the start, too.
/// 4. The record is put before its LSN is handed back for PostgreSQL, one put in flight, by compare-and-set.
///
/// Sendable because everything that is not an atomic, in a mutex or constant is touched by the delivery thread only, from `run()` on.
package final class ChainedPublisher<Port: StreamPort>: @unchecked Sendable {
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

    /// What is done next.
    var machine = PublishingMachine()
    let checkpointer: Checkpointer<Port>
    var chain: PublishChain
    var known: KnownEnd {
        didSet { handover.storedSequence.store(known.storedSequence, ordering: .releasing) }
    }
    /// What is stored of the run of a backfill that is under way; nil: none is.
    var backfilled: BackfillTail?
    /// Of the events in the window, those of it that are not stored, and are not to be: its table is read once more.
    var lostReads: Set<UInt64> = []
    /// What was read of the stream, as far as it is not compared yet.
    var comparison: StreamComparison
    /// The comparison under way is the first: what a predecessor published is not known.
    var isFirstComparison = true
    /// Where the comparison ends: the stream's last sequence when it was read.
    var comparisonEnd: UInt64 = 0
    /// Looks at the slot when the comparison began, and events that were compared since.
    var comparisonInspection: UInt64 = 0
    var comparedCount: UInt64 = 0
    /// Of the newest event that a predecessor published: the transaction that is decoded for it must be that one.
    let newestCommit: StoredCommit?
    /// How holes are kept from being made, as far as server and stream can.
    var prevention = Prevention.none
    var refusals = RefusalMemory()
    /// What was read of the stream again and again before it is believed.
    var suspicion = Suspicion<StreamReading.Doubt>()
    var strays = StrayMemory()
    /// Messages in flight at most: halved by strays, so that each costs less.
    var inFlightLimit: Int
    /// Counted as the window counts: the next event to be published.
    var nextIndex: UInt64 = 0
    /// Events before it have been published at least once.
    var publishedCount: UInt64 = 0
    var epoch: UInt32 = 1
    var backoff = Backoff()
    var replicaCount: Int
    /// While there is no connection: when one was last tried beside libnats'.
    var lastAttemptBeside: Instant?
    /// How far the wall clock is ahead of the monotonic one.
    var clockOffset: Duration
    var acks = AckBatch()
    /// Whole transactions go out as atomic batches.
    var isAtomic: Bool
    /// Of the batch that was sent last. The first is random: what a predecessor still has on its way is no part of ours.
    var batchNumber: UInt64
    var batchEventCount = 0
    /// Events in a batch, at most, as far as is known of the server.
    var batchEventLimit = BatchMember.countLimit
    var isContradictionTold = false
    /// Since the stream was last read.
    var isReadTroubleTold = false
    var tally = EventTally()

    package init(
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
        backfilled = start.record.backfill?.stored
        comparison = StreamComparison(start.known, identity: start.identity, timelines: start.timelines)
        replicaCount = start.replicaCount
        isAtomic = start.isAtomic
        inFlightLimit = configuration.delivery.inFlightMessages
        chain = PublishChain(lastSequence: start.known.settledSequence)
        batchNumber = port.random()
        clockOffset = port.wallClockOffset
        strays.looked(at: port.now)
        checkpointer = Checkpointer(
            start.record, revision: start.revision, configuration: configuration, handover: handover, port: port,
            observations: observations, failpoints: failpoints, logger: logger)
        port.beginEpoch(epoch)
    }

    /// The thread's function: returns when asked to stop, or with a failure handed over.
    package func run() {
        do throws(StreamerError) {
            tellSettling(.start, "the messages of the previous streamer are compared first")
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
        switch machine.state {
        case .settling(_, let cause): try settle(cause)
        case .resting(let end, _): if port.now >= end { try act(machine.rested()) }
        case .reading(let cause): try readStream(cause)
        case .comparing: try compare()
        case .publishing: try publish()
        case .mending: try mend()
        case .ended: break
        }
        observe()
    }

    /// Does what the machine says, as far as it is not left to the next turn.
    func act(_ action: PublishingMachine.Action) throws(StreamerError) {
        switch action {
        case .compare: try compare()
        case .publish: try publish()
        case .mend: try mend()
        case .none, .settle, .rest, .read, .end: break
        }
    }

    /// How long nothing is to be done unless something comes.
    func waitTime() -> Duration {
        switch machine.state {
        case .settling: return isUnanswered ? .milliseconds(100) : .zero
        case .resting(let end, _): return min(end.duration(since: port.now), .milliseconds(250))
        case .reading: return port.isConnected ? .zero : .milliseconds(250)
        case .comparing, .publishing:
            // The next thing that is due by time: a record, or an ack that does not come.
            let isSomethingDue = chain.inFlightCount > 0 || checkpointer.isDue(known)
            return isSomethingDue ? .milliseconds(50) : .milliseconds(500)
        case .mending, .ended: return .zero
        }
    }

    /// Something went wrong after which it is not known what is stored.
    func report(_ cause: ResynchronisationCause, _ detail: String) {
        switch machine.troubled(cause) {
        case .settle: tellSettling(cause, detail)
        case .none, .rest, .read, .compare, .publish, .mend, .end: break
        }
    }

    // MARK: - Publishing

    /// Sends what may be sent; then keeps the record.
    func publish() throws(StreamerError) {
        if chain.isOverdue(at: port.now, ackTimeout: configuration.delivery.ackTimeout) {
            return report(.ackTimeout, "no ack for \(configuration.delivery.ackTimeout.milliseconds) ms")
        }
        let appended = window.appendedCount.load(ordering: .acquiring)
        let first = nextIndex
        if nextIndex < appended {
            if isAtomic {
                try publishTransactions(appended)
            } else {
                _ = try publishEach(through: appended)
            }
        }
        if nextIndex > first { tellSent(nextIndex - first) }
        guard machine.isPublishing else { return }
        try checkpointer.keep(known, backfilled, isCompared: true)
        lookForStrays()
    }

    private func tellSent(_ count: UInt64) {
        if isTracing {
            logger.trace("events sent", metadata: ["count": .stringConvertible(count), "in_flight": .stringConvertible(chain.inFlightCount)])
        }
        guard machine.flight == .chained else { return }
        if count <= Self.trickleCount, chain.inFlightCount <= 2 * Self.trickleCount { port.sendBuffered() }
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
        machine.sent(.chained)
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
                guard machine.isPublishing else { return false }
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
