import Capture
import JetStreamPublishing
import Logging
import Synchronization

extension Delivery {
    /// Finds out what is stored and sends the rest, chained anew. Returns when that is so, or when asked to stop.
    func resynchronise(_ cause: ResynchronisationCause, _ detail: String) throws(StreamerError) {
        observations.resynchronisationCount.add(1, ordering: .relaxed)
        observations.meters.resynchronised(cause)
        logger.notice(
            "resynchronising",
            metadata: [
                "cause": "\(cause.rawValue)", "detail": "\(detail)", "stored_sequence": "\(known.storedSequence)",
                "in_flight": "\(chain.inFlightCount)", "stream": "\(configuration.stream.name)",
            ])
        setConnected(false)
        fruitlessCount += 1
        try settle()
        // Acks of what was sent before no longer count: only the stream's end does.
        epoch &+= 1
        link.mailbox.beginEpoch(epoch)
        if fruitlessCount > 1 {
            try stepDownIfStaged()
            pause(backoff.delay())
        } else {
            backoff.reset()
        }

        failpoints.reached(.resynchronising)
        var suspicion = Suspicion<StreamTail?>()
        while !isStopRequested.load(ordering: .acquiring) {
            guard let tail = try readTail() else { continue }
            trouble = nil
            failpoints.reached(.resynchronised)
            switch decide(tail.value) {
            case .resume(let storedCount, let lastSequence, let storedID):
                resume(storedCount: storedCount, lastSequence: lastSequence, storedID: storedID)
                try settlePutAfterTrouble()
                return
            case .skip(let storedCount, let lastSequence, let storedID):
                // The other thread goes on until it sees this: what it appends meanwhile is passed over when it is to be published.
                skipTo.withLock { $0 = storedID.position }
                resume(storedCount: storedCount, lastSequence: lastSequence, storedID: storedID)
                logger.notice("skipping what a predecessor stored", metadata: ["to": "\(storedID.position)"])
                try settlePutAfterTrouble()
                return
            case .moved(let what):
                if replicaCount <= 1
                    || suspicion.isBelievable(tail.value, isMajorityCurrent: tail.value?.isMajorityCurrent != false)
                {
                    throw .streamMoved(what)
                }
                pause(.seconds(1))
            case .foreign(let subject, let sequence):
                throw .stop(
                    .foreignMessage,
                    what: "stream \(configuration.stream.name) holds a message at sequence \(sequence) that is not ours (\(subject))",
                    remedy: "A stream has one writer: stop the other one and begin a new stream (deleting its message would leave a sequence of which nobody knows what it was)")
            }
        }
    }

    /// Waits until everything in flight was answered, or no answer can be expected any more.
    private func settle() throws(StreamerError) {
        let deadline = Instant.now + min(configuration.delivery.ackTimeout, .seconds(2))
        var answeredCount = -1
        while chain.inFlightCount > 0, link.connection.isConnected, Instant.now < deadline,
            !isStopRequested.load(ordering: .acquiring)
        {
            let before = chain.inFlightCount
            try takeAcks()
            // After a refusal everything behind it is refused: acks stop coming long before the deadline.
            let isQuiet = chain.inFlightCount == before && answeredCount == before
            if isQuiet, trouble == nil { break }
            answeredCount = chain.inFlightCount
            trouble = nil
            observations.turned(.delivery)
            link.wake.wait(timeout: .milliseconds(100))
            takeEvents()
        }
    }

    /// Reads the stream's end from its leader; nil: it could not be read now, and a pause was made.
    private func readTail() throws(StreamerError) -> (value: StreamTail?, Void)? {
        try requireSteadyClock()
        takeEvents()
        observations.turned(.delivery)
        observe()
        guard link.connection.isConnected else {
            link.wake.wait(timeout: .milliseconds(250))
            try lookForWayBack()
            return nil
        }
        lastAttemptBeside = nil
        do throws(JetStreamError) {
            // What libnats kept while it was reconnecting goes out before the end is read.
            try link.connection.flush(timeout: min(configuration.delivery.ackTimeout, JetStreamConnection.apiTimeout))
            return (try StreamTail.read(configuration.stream.name, over: link.connection), ())
        } catch {
            guard FailurePolicy.isWorthAsking(again: error) else { throw .jetStream(error) }
            logger.info("cannot read the stream's end yet", metadata: ["error": "\(error)"])
            pause(backoff.delay())
            return nil
        }
    }

    private func decide(_ tail: StreamTail?) -> Resynchronisation {
        Resynchronisation.decide(
            tail: tail, known: known, identity: identity, timelines: timelines,
            retained: window.releasedCount.load(ordering: .relaxed)..<window.appendedCount.load(ordering: .acquiring),
            position: { window.header(at: $0).position })
    }

    private func resume(storedCount: UInt64, lastSequence: UInt64, storedID: MessageID?) {
        let before = window.releasedCount.load(ordering: .relaxed)
        known.storedSequence = lastSequence
        releaseWindow(through: storedCount)
        known.storedID = storedID
        if storedCount > before { fruitlessCount = 0 }
        chain = PublishChain(lastSequence: lastSequence)
        nextIndex = window.releasedCount.load(ordering: .relaxed)
        // Refused again and again it is not connected until something is stored.
        isBatchInFlight = false
        setConnected(fruitlessCount <= 1 || window.retainedCount == 0)
        logger.notice(
            "resynchronised",
            metadata: [
                "last_sequence": "\(lastSequence)", "stored_meanwhile": "\(storedCount - min(before, storedCount))",
                "to_send": "\(window.retainedCount)",
            ])
    }

    /// On replicated 2.10 and 2.11 a refused id stays staged for the whole duplicate window: a new leader does not know it.
    ///
    /// Once each replica has led and refused it no other is left, and only the window helps.
    private func stepDownIfStaged() throws(StreamerError) {
        guard isIDStaged, replicaCount > 1, stepDownCount < replicaCount else { return }
        isIDStaged = false
        stepDownCount += 1
        do throws(JetStreamError) {
            try link.connection.stepDownLeader(configuration.stream.name)
            logger.notice("asked the stream's leader to step down", metadata: ["stream": "\(configuration.stream.name)"])
        } catch {
            // Not permitted, or no leader: the duplicate window passes too, only later.
            logger.warning("the stream's leader does not step down", metadata: ["error": "\(error)"])
        }
    }

    /// Waits, but not longer than until something arrives that matters.
    func pause(_ duration: Duration) {
        let end = Instant.now + duration
        while !isStopRequested.load(ordering: .acquiring), Instant.now < end {
            observations.turned(.delivery)
            observe()
            link.wake.wait(timeout: min(end.duration(since: .now), .milliseconds(250)))
            takeEvents()
        }
    }
}
