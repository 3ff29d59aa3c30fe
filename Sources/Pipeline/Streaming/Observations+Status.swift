import CoreMetrics
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What is told of it: the object of `/status`, and the gauges.
extension Observations {
    /// The object of `/status`.
    package func status() -> StreamerStatus {
        status(at: .now)
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
        if let publication = texts.publication { source.take(publication) }
        var stream = texts.stream
        stream.lastSequence = max(stream.lastSequence ?? 0, lastSequence.load(ordering: .relaxed))
        return StreamerStatus(
            role: texts.role, live: isLive, ready: isReady, reasons: reasons, source: source, stream: stream,
            inFlight: StreamerStatus.InFlight(
                messages: inFlightCount.load(ordering: .relaxed), bytes: retainedByteCount.load(ordering: .relaxed)),
            counters: StreamerStatus.Counters(
                transactions: transactionCount.load(ordering: .relaxed), events: eventCount.load(ordering: .relaxed),
                resynchronisations: resynchronisationCount.load(ordering: .relaxed),
                reconnects: reconnectCount.load(ordering: .relaxed), strays: strayCount.load(ordering: .relaxed),
                references: referenceCount.load(ordering: .relaxed),
                quarantined: quarantinedCount.load(ordering: .relaxed), skipped: skippedCount.load(ordering: .relaxed)),
            lastError: texts.lastError)
    }

    /// Sets every gauge to what it is now; called before the metrics are rendered. NaN stands for what nobody knows.
    package func refreshMetrics() {
        let now = Instant.now
        let texts = texts.withLock { $0 }
        meters.lagBytes.record(lagByteCount(texts).map { Double($0) } ?? .nan)
        meters.lagSeconds.record(lagSeconds(at: now) ?? .nan)
        meters.slotRetainedBytes.record(texts.slot?.retainedByteCount.map { Double($0) } ?? .nan)
        meters.slotSafeBytes.record(Self.safeByteCount(texts.slot))
        meters.slotActive.record(texts.isSlotHeld ? 1 : 0)
        meters.confirmedLSN.record(number(confirmedLSN))
        meters.receivedLSN.record(number(receivedLSN))
        meters.inFlightMessages.record(inFlightCount.load(ordering: .relaxed))
        meters.inFlightBytes.record(retainedByteCount.load(ordering: .relaxed))
        meters.up.record(texts.isConnected ? 1 : 0)
    }

    private static func safeByteCount(_ slot: SlotState?) -> Double {
        guard let slot else { return .nan }
        if slot.isInvalidated { return 0 }
        // Without max_slot_wal_keep_size there is no limit.
        return slot.safeWALByteCount.map { Double($0) } ?? .infinity
    }

    private func text(_ lsn: borrowing Atomic<UInt64>) -> String? {
        let value = lsn.load(ordering: .relaxed)
        return value == 0 ? nil : LSN(value).description
    }

    private func number(_ lsn: borrowing Atomic<UInt64>) -> Double {
        let value = lsn.load(ordering: .relaxed)
        return value == 0 ? .nan : Double(value)
    }
}

extension Observations.Texts {
    /// A session streams, and both servers answer.
    var isConnected: Bool { isPostgresConnected && isSlotHeld && !isWalsenderSilent && isNATSConnected }
}
