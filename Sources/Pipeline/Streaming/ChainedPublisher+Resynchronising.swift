import Capture
import History
import JetStreamPublishing
import Logging
import Synchronization
import Threads
import WAL

extension ChainedPublisher {
    /// Tells why nothing is sent, and how far the stream is known.
    func tellSettling(_ cause: ResynchronisationCause, _ detail: String) {
        if cause != .start {
            observations.resynchronisationCount.add(1, ordering: .relaxed)
            observations.meters.resynchronised(cause)
        }
        logger.log(
            level: cause == .start ? .info : isFlood || machine.isFruitless ? .debug : .notice, cause == .start ? "comparing" : "resynchronising",
            metadata: [
                "cause": "\(cause.rawValue)", "detail": "\(detail)", "stored_sequence": .stringConvertible(known.storedSequence),
                "in_flight": .stringConvertible(chain.inFlightCount), "stream": "\(configuration.stream.name)",
            ])
        setConnected(false)
    }

    /// Strays come faster than each is worth a line.
    var isFlood: Bool { strays.isFlood(at: port.now) }

    /// Waits until everything in flight was answered, or no answer can be expected any more: after a refusal not everything behind it is refused.
    func settle(_ cause: ResynchronisationCause) throws(StreamerError) {
        guard !isUnanswered else { return }
        // Acks of what was sent before no longer count: only what is read in the stream does.
        epoch &+= 1
        port.beginEpoch(epoch)
        refusals.epochBegan()
        suspicion = Suspicion()
        var end: Instant?
        if machine.isFruitless {
            try judgeRefusals()
            stepDownIfStaged()
            end = port.now + backoff.delay(random: port.random())
        } else {
            backoff.reset()
        }
        if cause != .start { failpoints.reached(.resynchronising) }
        try act(machine.settled(restingUntil: end))
    }

    /// Whether an answer to something in flight may still come.
    var isUnanswered: Bool {
        guard let accepted = chain.lastAcceptedAt, port.isConnected,
            port.now < accepted + configuration.delivery.ackTimeout
        else { return false }
        switch machine.flight {
        case .chained: return chain.inFlightCount - chain.earlyCount > refusals.count
        // A batch has one answer, and a refusal ends it.
        case .atomicBatch, .fastBatchStarting, .fastBatch, .fastBatchEnding: return refusals.count == 0
        }
    }

    /// Reads the stream behind what is proven, if there is a connection.
    func readStream(_ cause: ResynchronisationCause) throws(StreamerError) {
        guard port.isConnected else { return try lookForWayBack() }
        lastAttemptBeside = nil
        strays.forget()
        let began = port.now
        let outcome: StreamReading.Outcome
        do throws(JetStreamError) {
            outcome = try readEnd()
        } catch {
            guard FailurePolicy.isWorthAsking(again: error) else { throw .jetStream(error) }
            logger.log(
                level: isReadTroubleTold ? .debug : .info, "cannot read the stream yet", metadata: ["error": "\(error)"])
            isReadTroubleTold = true
            return try act(machine.readInVain(restingUntil: port.now + backoff.delay(random: port.random())))
        }
        isReadTroubleTold = false
        if cause != .start { failpoints.reached(.resynchronised) }
        switch outcome {
        case .read(let comparison, let end, let prevention):
            let isFirstOfFlood = strays.wasRead(hasStrays: comparison.strayCount > 0, at: port.now)
            beginComparison(comparison, through: end)
            self.prevention = refusals.isMessageIDDistrusted ? prevention.withoutMessageIDs : prevention
            try checkpointer.settleAfterTrouble()
            // Somebody else wrote: perhaps one who has taken over.
            if isFirstOfFlood || comparison.next != nil { try checkpointer.requireOwnership() }
            try act(machine.wasRead(hasStrays: comparison.strayCount > 0))
        case .doubtful(let doubt, let isMajorityCurrent):
            let isBelievable = suspicion.isBelievable(
                doubt, isMajorityCurrent: isMajorityCurrent, readFrom: began, to: port.now)
            if replicaCount <= 1 || isBelievable { throw doubt.error }
            try act(machine.readInVain(restingUntil: port.now + .seconds(1)))
        }
    }

    /// Reads the stream's end, and the first of what stands before it.
    private func readEnd() throws(JetStreamError) -> StreamReading.Outcome {
        // What libnats kept while it was reconnecting goes out before the end is read.
        try port.flush(timeout: min(configuration.delivery.ackTimeout, JetStreamConnection.apiTimeout))
        // Counted once, by the reading that stands.
        if isFlood, !machine.isFruitless, prevention != .none || chain.inFlightCount <= 1,
            let (comparison, end) = try StreamReading.readSteps(
                behind: known, identity: identity, timelines: timelines, readingSource)
        {
            return .read(comparison, end: end, prevention)
        }
        return try StreamReading.read(
            behind: known, mayHaveUnknown: isFirstComparison || publishedCount > window.releasedCount.load(ordering: .relaxed),
            identity: identity, timelines: timelines, readingSource)
    }

    /// On replicated 2.10 and 2.11 a refused id stays staged for the whole duplicate window: a new leader does not know it.
    private func stepDownIfStaged() {
        guard refusals.takeStepDown(replicaCount: replicaCount) else { return }
        do throws(JetStreamError) {
            try port.stepDownLeader(configuration.stream.name)
            logger.notice("asked the stream's leader to step down", metadata: ["stream": "\(configuration.stream.name)"])
        } catch {
            // Not permitted, or no leader: the duplicate window passes too, only later.
            logger.warning("the stream's leader does not step down", metadata: ["error": "\(error)"])
        }
    }
}
