import CoreMetrics
import History
import JetStreamPublishing
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What is told of it in `/metrics`.
extension Observations {
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
        meters.windowSeconds.record(texts.window?.seconds(at: now) ?? .nan)
        meters.windowBytes.record(texts.window?.anchor.retainedByteCount.map { Double($0) } ?? .nan)
        meters.up.record(texts.isConnected ? 1 : 0)
        watchMeters.show(role: texts.role, isConnected: [.postgres: texts.isPostgresConnected, .nats: texts.isNATSConnected])
        watchMeters.show(processorSeconds: ProcessUsage.processorSeconds)
        watchMeters.show(knownSamples(texts, at: now))
    }

    /// What there is a series of only while it is known.
    private func knownSamples(_ texts: Texts, at now: Instant) -> [WatchMeters.Sample] {
        var samples = WatchMeters.Samples()
        samples.add(
            "slotstream_info", 1,
            labels: [("slot", slot), ("stream", texts.stream.name)]
                + [("database", texts.database), ("system_id", texts.systemID)].compactMap { name, value in value.map { (name, $0) } })
        samples.add("slotstream_checkpoint_age_seconds", checkpointAge(at: now)?.seconds)
        samples.add("process_resident_memory_bytes", ProcessUsage.residentByteCount.map { Double($0) })
        samples.add("process_start_time_seconds", ProcessUsage.startSeconds)
        if let stop = texts.lastStop, let at = PostgresTimestamp(stop.at) {
            samples.add("slotstream_last_stop_timestamp_seconds", Double(at.unixMicroseconds) / 1e6, labels: [("reason", stop.reason)])
        }
        if let backfill = texts.backfill {
            samples.add("slotstream_backfill_rows", Double(backfill.rows))
            samples.add("slotstream_backfill_done_ratio", backfill.fraction)
            for state in StreamerStatus.Backfill.states {
                samples.add("slotstream_backfill_state", state == backfill.state ? 1 : 0, labels: [("state", state)])
            }
        }
        guard let facts = streamFacts(texts, at: now) else { return samples.all }
        samples.add("slotstream_stream_bytes", Double(facts.state.bytes))
        samples.add("slotstream_stream_messages", Double(facts.state.messages))
        samples.add("slotstream_stream_first_sequence", Double(facts.state.firstSequence))
        samples.add("slotstream_stream_last_sequence", Double(facts.state.lastSequence))
        samples.add("slotstream_stream_max_bytes", facts.maxBytes.map { Double($0) } ?? .infinity)
        samples.add("slotstream_stream_max_messages", facts.maxMessages.map { Double($0) } ?? .infinity)
        samples.add("slotstream_stream_max_age_seconds", facts.maxAge?.seconds ?? .infinity)
        samples.add("slotstream_stream_consumers", facts.consumerCount.map { Double($0) })
        for (kind, count) in facts.markerCounts ?? [:] {
            samples.add("slotstream_stream_markers", Double(count), labels: [("kind", kind.lowercased())])
        }
        for consumer in facts.consumers ?? [] {
            let name = [("consumer", consumer.name)]
            samples.add("slotstream_consumer_pending", Double(consumer.pendingCount), labels: name)
            samples.add("slotstream_consumer_ack_pending", Double(consumer.ackPendingCount), labels: name)
            samples.add("slotstream_consumer_ack_floor", Double(consumer.ackFloorSequence), labels: name)
            samples.add("slotstream_consumer_retention_left_ratio", consumer.retentionLeft, labels: name)
        }
        return samples.all
    }

    private static func safeByteCount(_ slot: SlotState?) -> Double {
        guard let slot else { return .nan }
        if slot.isInvalidated { return 0 }
        // Without max_slot_wal_keep_size there is no limit.
        return slot.safeWALByteCount.map { Double($0) } ?? .infinity
    }

    private func number(_ lsn: borrowing Atomic<UInt64>) -> Double {
        let value = lsn.load(ordering: .relaxed)
        return value == 0 ? .nan : Double(value)
    }
}
