import History
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What is told of it: the object of `/status`.
extension Observations {
    /// The object of `/status`.
    package func status() -> StreamerStatus {
        status(at: .now)
    }

    /// As `status()`, with liveness judged at `now`.
    func status(at now: Instant) -> StreamerStatus {
        let texts = texts.withLock { $0 }
        var reasons: [String] = []
        // A streamer that has stopped has no loops; its process may be kept on purpose.
        for loop in Loop.allCases where texts.role != .stopped {
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
            reasons.append(texts.stop.map { "stopped: \($0)" } ?? "stopped")
        case .active:
            if let wait = texts.slotWait {
                reasons.append(wait)
            } else if !texts.isPostgresConnected {
                reasons.append("not connected to PostgreSQL")
            }
            if texts.isWalsenderSilent { reasons.append("PostgreSQL's walsender does not answer") }
            // Of NATS nothing is known while PostgreSQL is waited for.
            let isNATSMeant = texts.isPostgresConnected || texts.awaited == .nats || texts.refusal != nil
            if !texts.isNATSConnected, texts.slotWait == nil, isNATSMeant { reasons.append(texts.refusal ?? "not connected to NATS, or resynchronising") }
            if texts.isNothingPublished { reasons.append("the publication has no table: no change is published") }
            isReady = isReady && texts.isConnected && !texts.isNothingPublished
            if readyMaxLagBytes > 0, let lagBytes, lagBytes > readyMaxLagBytes {
                isReady = false
                reasons.append("\(lagBytes) bytes behind, more than http.ready_max_lag_bytes (\(readyMaxLagBytes))")
            }
        }
        var source = StreamerStatus.Source(slot: slot)
        source.systemId = texts.systemID
        source.timeline = texts.timeline
        source.database = texts.database
        source.plugin = texts.slot?.plugin
        source.walStatus = texts.slot?.walStatus
        source.receivedLsn = text(receivedLSN)
        source.storedLsn = text(storedLSN)
        source.confirmedLsn = text(confirmedLSN)
        source.lagBytes = lagBytes
        source.lagSeconds = lagSeconds(at: now)
        source.retainedBytes = texts.slot?.retainedByteCount
        source.safeBytes = texts.slot?.safeWALByteCount
        source.walLsn = texts.slot?.currentWALLSN.description
        if let publication = texts.publication { source.take(publication) }
        var stream = texts.stream
        stream.lastSequence = max(stream.lastSequence ?? 0, lastSequence.load(ordering: .relaxed))
        let facts = streamFacts(texts, at: now)
        if let facts { stream.take(facts) }
        var status = StreamerStatus(
            role: texts.role, live: isLive, ready: isReady, reasons: reasons, source: source, stream: stream,
            inFlight: StreamerStatus.InFlight(
                messages: inFlightCount.load(ordering: .relaxed), bytes: retainedByteCount.load(ordering: .relaxed)),
            window: texts.window?.status,
            counters: StreamerStatus.Counters(
                transactions: transactionCount.load(ordering: .relaxed), events: eventCount.load(ordering: .relaxed),
                resynchronisations: resynchronisationCount.load(ordering: .relaxed),
                reconnects: reconnectCount.load(ordering: .relaxed), strays: strayCount.load(ordering: .relaxed),
                references: referenceCount.load(ordering: .relaxed),
                quarantined: quarantinedCount.load(ordering: .relaxed), skipped: skippedCount.load(ordering: .relaxed)),
            lastError: texts.lastError)
        status.rates = texts.rateMemory.rates(at: now)
        // A standby stores nothing; what another stores it does not count.
        if texts.role == .standby { status.rates?.eventsPerSecond = nil }
        status.at = PostgresTimestamp.now.description
        status.backfill = texts.backfill
        status.consumers = facts?.consumers?.map { StreamerStatus.Consumer($0) }
        status.checkpoint = checkpointAge(at: now).map { StreamerStatus.Checkpoint(ageSeconds: $0.seconds) }
        return status
    }

    /// The names of the durable consumers, of the first fifty; nil: they were not looked at.
    var durableConsumers: [String]? { texts.withLock { $0.streamFacts?.consumers?.map(\.name) } }

    /// What JetStream said of the stream; nil: it has not said anything lately.
    func streamFacts(_ texts: Texts, at now: Instant) -> StreamFacts? {
        texts.streamFacts.flatMap { now.duration(since: $0.at) < StreamFacts.validity ? $0 : nil }
    }

    /// For how long the checkpoint record stands as it is; nil: this streamer has stored none, or has lost the slot since.
    func checkpointAge(at now: Instant) -> Duration? {
        let stored = recordedAt.load(ordering: .relaxed)
        return stored == 0 ? nil : now.duration(since: Instant(nanoseconds: stored))
    }

    private func text(_ lsn: borrowing Atomic<UInt64>) -> String? {
        let value = lsn.load(ordering: .relaxed)
        return value == 0 ? nil : LSN(value).description
    }
}

extension Observations.Texts {
    /// A session streams, and both servers answer.
    var isConnected: Bool { isPostgresConnected && isSlotHeld && !isWalsenderSilent && isNATSConnected }
}
