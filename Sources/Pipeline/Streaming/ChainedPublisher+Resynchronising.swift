import Capture
import JetStreamPublishing
import Logging
import Synchronization
import Threads

extension ChainedPublisher {
    /// Finds out what the stream holds behind what is proven, and begins to compare it. Returns when that is so, or when asked to stop.
    func resynchronise(_ cause: ResynchronisationCause, _ detail: String) throws(StreamerError) {
        if cause != .start {
            observations.resynchronisationCount.add(1, ordering: .relaxed)
            observations.meters.resynchronised(cause)
        }
        logger.log(
            level: cause == .start ? .info : isFlood || fruitlessCount > 0 ? .debug : .notice, cause == .start ? "comparing" : "resynchronising",
            metadata: [
                "cause": "\(cause.rawValue)", "detail": "\(detail)", "stored_sequence": .stringConvertible(known.storedSequence),
                "in_flight": .stringConvertible(chain.inFlightCount), "stream": "\(configuration.stream.name)",
            ])
        setConnected(false)
        fruitlessCount += 1
        try settle()
        // Acks of what was sent before no longer count: only what is read in the stream does.
        epoch &+= 1
        port.beginEpoch(epoch)
        refusalCount = 0
        if fruitlessCount > 1 {
            try judgeRefusals()
            try stepDownIfStaged()
            pause(backoff.delay(random: port.random()))
        } else {
            backoff.reset()
        }

        if cause != .start { failpoints.reached(.resynchronising) }
        var suspicion = Suspicion<StreamReading.Doubt>()
        while !handover.isStopRequested.load(ordering: .acquiring) {
            guard let outcome = try readStream() else { continue }
            trouble = nil
            isReadTroubleTold = false
            if cause != .start { failpoints.reached(.resynchronised) }
            switch outcome {
            case .read(let comparison, let end, let prevention):
                let isFirstOfFlood = comparison.strayCount > 0 && !isFlood
                if comparison.strayCount == 0 { lastFloodReport = nil } else if isFirstOfFlood { lastFloodReport = port.now }
                beginComparison(comparison, through: end)
                self.prevention = isMessageIDDistrusted ? prevention.withoutMessageIDs : prevention
                try settlePutAfterTrouble()
                // Somebody else wrote: perhaps one who has taken over.
                if isFirstOfFlood || comparison.next != nil { try requireOwnership() }
                return
            case .doubtful(let doubt, let isMajorityCurrent):
                if replicaCount <= 1 || suspicion.isBelievable(doubt, isMajorityCurrent: isMajorityCurrent, at: port.now) {
                    throw doubt.error
                }
                pause(.seconds(1))
            }
        }
    }

    /// Strays come faster than each is worth a line.
    var isFlood: Bool { lastFloodReport.map { port.now.duration(since: $0) < .seconds(10) } ?? false }

    /// Waits until everything in flight was answered, or no answer can be expected any more: after a refusal not everything behind it is refused.
    private func settle() throws(StreamerError) {
        guard let accepted = chain.lastAcceptedAt else { return }
        let deadline = accepted + configuration.delivery.ackTimeout
        while isUnanswered, port.isConnected, port.now < deadline,
            !handover.isStopRequested.load(ordering: .acquiring)
        {
            observations.turned(.delivery)
            port.wait(timeout: .milliseconds(100))
            takeEvents()
            try takeAcks()
            trouble = nil
        }
    }

    /// Whether an answer to something in flight may still come.
    private var isUnanswered: Bool {
        // A batch has one answer.
        if isBatchInFlight || fastBatch != .none { return chain.inFlightCount > 0 && refusalCount == 0 }
        return chain.inFlightCount - chain.earlyCount > refusalCount
    }

    /// Reads the stream behind what is proven; nil: it could not be read now, and a pause was made.
    private func readStream() throws(StreamerError) -> StreamReading.Outcome? {
        try requireSteadyClock()
        takeEvents()
        observations.turned(.delivery)
        observe()
        guard port.isConnected else {
            port.wait(timeout: .milliseconds(250))
            try lookForWayBack()
            return nil
        }
        lastAttemptBeside = nil
        strays = []
        do throws(JetStreamError) {
            // What libnats kept while it was reconnecting goes out before the end is read.
            try port.flush(timeout: min(configuration.delivery.ackTimeout, JetStreamConnection.apiTimeout))
            // Counted once, by the reading that stands.
            if isFlood, fruitlessCount <= 1, prevention != .none || chain.inFlightCount <= 1,
                let (comparison, end) = try StreamReading.readSteps(
                    behind: known, identity: identity, timelines: timelines, readingSource)
            {
                return .read(comparison, end: end, prevention)
            }
            return try StreamReading.read(
                behind: known, mayHaveUnknown: isFirstComparison || publishedCount > window.releasedCount.load(ordering: .relaxed),
                identity: identity, timelines: timelines, readingSource)
        } catch {
            guard FailurePolicy.isWorthAsking(again: error) else { throw .jetStream(error) }
            logger.log(
                level: isReadTroubleTold ? .debug : .info, "cannot read the stream yet", metadata: ["error": "\(error)"])
            isReadTroubleTold = true
            pause(backoff.delay(random: port.random()))
            return nil
        }
    }

    /// On replicated 2.10 and 2.11 a refused id stays staged for the whole duplicate window: a new leader does not know it.
    ///
    /// Once each replica has led and refused it no other is left, and only the window helps.
    private func stepDownIfStaged() throws(StreamerError) {
        guard isIDStaged, replicaCount > 1, stepDownCount < replicaCount else { return }
        isIDStaged = false
        stepDownCount += 1
        do throws(JetStreamError) {
            try port.stepDownLeader(configuration.stream.name)
            logger.notice("asked the stream's leader to step down", metadata: ["stream": "\(configuration.stream.name)"])
        } catch {
            // Not permitted, or no leader: the duplicate window passes too, only later.
            logger.warning("the stream's leader does not step down", metadata: ["error": "\(error)"])
        }
    }

    /// Waits, but not longer than until something arrives that matters.
    func pause(_ duration: Duration) {
        let end = port.now + duration
        while !handover.isStopRequested.load(ordering: .acquiring), port.now < end {
            observations.turned(.delivery)
            observe()
            port.wait(timeout: min(end.duration(since: port.now), .milliseconds(250)))
            takeEvents()
        }
    }
}
