import History
import JetStreamPublishing
import Logging
import Synchronization
import Threads

/// What the connection tells: what happened to it, and what became of what was published.
extension ChainedPublisher {
    /// Notes what happened to the connection: most of it calls for a resynchronisation, what cannot be mended ends the thread.
    func takeEvents() {
        for event in port.takeEvents() {
            switch event {
            case .disconnected(let why):
                setConnected(false)
                observations.failed(RetryReason.connectionLost.rawValue, "disconnected from NATS: \(why)")
                observations.reconnecting(to: .nats)
                logger.warning("disconnected from NATS", metadata: ["why": "\(why)"])
                report(.reconnected, "the connection broke: \(why)")
            case .reconnected(let url):
                setConnected(true)
                logger.notice("reconnected to NATS", metadata: ["url": "\(url)"])
                report(.reconnected, "reconnected to \(url)")
            case .closed(let why):
                setConnected(false)
                handover.failure.withLock { $0 = .jetStream(.notConnected(why)) }
                handover.isStopRequested.store(true, ordering: .releasing)
            case .permissionViolation(let what) where event.isOfHelp:
                // A help where it is permitted, no condition.
                logger.warning("NATS denies a permission", metadata: ["error": "\(what)"])
            case .permissionViolation(let what):
                if what.contains("\"\(configuration.stream.subjectPrefix).") { observations.meters.failed(.permissionNATS) }
                handover.failure.withLock { $0 = .jetStream(.permission(what)) }
                handover.isStopRequested.store(true, ordering: .releasing)
            case .asyncError(let what):
                logger.warning("NATS reported an error", metadata: ["error": "\(what)"])
            }
        }
    }

    /// For `/readyz`: while resynchronising there is no connection to speak of.
    func setConnected(_ isConnected: Bool) {
        observations.texts.withLock { $0.isNATSConnected = isConnected }
    }

    /// Releases what is stored; everything else is trouble, or the answer to a put.
    /// - Throws: what the record's answer demands.
    func takeAcks() throws(StreamerError) {
        port.drainAcks(into: &acks)
        if !acks.stored.isEmpty { failpoints.reached(.beforeAck) }
        for range in acks.stored {
            do throws(PublishChain.Fault) {
                release(count: try chain.stored(range.first...range.last))
            } catch {
                report(.unexpectedSequence, "\(error)")
            }
        }
        if !acks.stored.isEmpty { failpoints.reached(.afterAck) }
        for outcome in acks.outcomes {
            if outcome.isControl {
                try checkpointer.answered(outcome)
            } else {
                answered(outcome)
            }
        }
        refusals.drained(acks.refusal, droppedCount: acks.droppedCount)
        if acks.droppedCount > 0 { report(.refused, "\(acks.droppedCount) more answers that are no acks") }
    }

    private func answered(_ outcome: PublishOutcome) {
        refusals.answered(outcome)
        switch outcome {
        case .fastBatchStarted(let base, _):
            // Only its first message is sent.
            if base &+ 2 == chain.nextToken { machine.fastBatchStarted(base: base) }
        case .fastBatchEnded: machine.fastBatchEnded()
        case .refused(let token, let errCode, let code, let lastSequence):
            if let failure = RefusalCause.of(errCode).failure { observations.meters.failed(failure) }
            learnFromRefusal(errCode: errCode)
            if errCode == JetStreamErrorCode.wrongLastSequence, let lastSequence { tellContradiction(lastSequence) }
            let seen = lastSequence.map { ", the stream is at \($0)" } ?? ""
            report(.refused, "JetStream refused sequence \(token) with \(errCode) (\(code))\(seen)")
        case .duplicate(let token, let sequence):
            report(.duplicate, "JetStream answered duplicate, sequence \(sequence), to sequence \(token)")
        case .otherSequence(let token, let sequence):
            report(.unexpectedSequence, "stored at sequence \(sequence), not at \(token)")
        case .otherStream(let token): report(.unexpectedSequence, "another stream answered to sequence \(token)")
        case .noResponders(let token): report(.noResponders, "nobody took sequence \(token)")
        case .malformed(let token): report(.malformedAck, "the ack of sequence \(token) cannot be read")
        case .controlStored: break
        }
    }

    /// nats-server 2.9 after a purge to a sequence beyond the end: its store says one last sequence, and what takes messages another, until it is restarted.
    private func tellContradiction(_ lastSequence: UInt64) {
        guard lastSequence < known.settledSequence, machine.isFruitless, !isContradictionTold else { return }
        isContradictionTold = true
        logger.warning(
            "nats-server contradicts itself: restart nats-server",
            metadata: [
                "stream": "\(configuration.stream.name)", "last_sequence": .stringConvertible(known.settledSequence),
                "refuses_behind": .stringConvertible(lastSequence),
                "hint": "Restart nats-server. This happens when a stream was purged to a sequence beyond its end; nothing is lost",
            ])
    }
}
