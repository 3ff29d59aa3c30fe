import Capture
import CoreMetrics
import History
import JetStreamPublishing
import PostgresReplication
import Synchronization
import Testing
import Threads
import WAL

@testable import Pipeline

@Suite struct ObservationsTests {
    private let metrics = RecordingMetrics()

    private func observations(readyMaxLagBytes: UInt64 = 0) -> Observations {
        Observations(slot: "s", stream: "n", readyMaxLagBytes: readyMaxLagBytes, metrics: metrics)
    }

    private func connected(readyMaxLagBytes: UInt64 = 0) -> Observations {
        let observations = observations(readyMaxLagBytes: readyMaxLagBytes)
        observations.texts.withLock { texts in
            texts.isPostgresConnected = true
            texts.isSlotHeld = true
            texts.isNATSConnected = true
        }
        return observations
    }

    private func slot(_ end: UInt64, confirmed: UInt64? = nil, safe: Int64? = nil, status: String = "reserved") -> SlotState {
        SlotState(
            name: "s", restartLSN: LSN(1), confirmedFlushLSN: confirmed.map { LSN($0) }, walStatus: status,
            safeWALByteCount: safe, currentWALLSN: LSN(end))
    }

    /// A gauge as it is scraped now.
    private func gauge(_ name: String, of observations: Observations) -> Double? {
        observations.refreshMetrics()
        return metrics.series[name]
    }

    @Test func isReadyOnlyWhenConnectedToBoth() {
        #expect(connected().status().ready)
        for (isPostgresConnected, isNATSConnected) in [(false, true), (true, false), (false, false)] {
            let observations = observations()
            observations.texts.withLock { texts in
                texts.isSlotHeld = true
                texts.isPostgresConnected = isPostgresConnected
                texts.isNATSConnected = isNATSConnected
            }
            let status = observations.status()
            #expect(status.live && !status.ready)
            // Of NATS nothing is known while PostgreSQL is away.
            #expect(status.reasons == [isPostgresConnected ? "not connected to NATS, or resynchronising" : "not connected to PostgreSQL"])
        }
    }

    @Test func aStandbyIsReadyAndAStoppedOneIsNot() {
        let observations = observations()
        observations.texts.withLock { $0.role = .standby }
        #expect(observations.status().ready)
        observations.texts.withLock { $0.role = .stopped }
        #expect(!observations.status().ready)
        #expect(observations.status().reasons == ["stopped"])
    }

    @Test func isLiveOnlyWhileTheLoopTurns() {
        let before = Instant.now
        let observations = connected()
        #expect(observations.status(at: before + .seconds(29)).live)
        let status = observations.status(at: .now + .seconds(31))
        #expect(!status.live && !status.ready)
        #expect(status.reasons.count == 1)
        // A standby whose loop stands still is neither.
        observations.texts.withLock { $0.role = .standby }
        #expect(!observations.status(at: .now + .seconds(31)).ready)
    }

    @Test func isNotReadyFartherBehindThanAllowed() {
        let observations = connected(readyMaxLagBytes: 100)
        observations.saw(slot(1_000))
        observations.storedLSN.store(1_000, ordering: .relaxed)
        observations.receivedLSN.store(1_100, ordering: .relaxed)
        #expect(observations.status().ready)
        #expect(observations.status().source.lagBytes == 100)
        observations.saw(slot(1_101))
        let status = observations.status()
        #expect(!status.ready && status.live)
        #expect(status.source.lagBytes == 101)
    }

    @Test func lagIsTheAgeOfTheOldestChangeThatIsNotStored() {
        let observations = connected()
        observations.saw(slot(50, confirmed: 50))
        #expect(observations.status().source.lagSeconds == 0)
        observations.oldestCommit.store(PostgresTimestamp.now.unixMicroseconds - 5_000_000, ordering: .relaxed)
        let seconds = observations.status().source.lagSeconds ?? -1
        #expect(seconds >= 5 && seconds < 60)
    }

    @Test(arguments: [Int64.min, .max, -1])
    func noCommitTimeHoweverOddTraps(_ microseconds: Int64) {
        let observations = connected()
        observations.oldestCommit.store(microseconds, ordering: .relaxed)
        #expect((observations.status().source.lagSeconds ?? -1) >= 0)
        observations.refreshMetrics()
    }

    @Test func theLastErrorStaysToBeSeen() {
        let observations = connected()
        observations.failed("unreachable", "gone")
        let error = observations.status().lastError
        #expect(error?.reason == "unreachable" && error?.message == "gone")
    }

    @Test func everySeriesWithAClosedLabelSetExistsFromTheStart() {
        _ = observations()
        let expected =
            [
                "fraiseql_observer_events_processed_total", "fraiseql_observer_events_retried_total",
                "fraiseql_observer_processing_duration_seconds", "slotstream_source_lag_bytes",
                "slotstream_source_lag_seconds", "slotstream_slot_retained_bytes", "slotstream_slot_safe_bytes",
                "slotstream_slot_active", "slotstream_confirmed_lsn", "slotstream_received_lsn",
                "slotstream_transactions_total", "slotstream_uncast_values_total", "slotstream_unknown_type_values_total", "slotstream_strays_total",
                "slotstream_poison_events_total{outcome=quarantine}", "slotstream_poison_events_total{outcome=skip}", "slotstream_poison_events_total{outcome=reference}",
                "slotstream_stray_stream_aborts_total", "slotstream_inflight_messages",
                "slotstream_inflight_bytes",
                "slotstream_up", "slotstream_reconnects_total{peer=postgres}", "slotstream_reconnects_total{peer=nats}",
                "slotstream_build_info{version=\(Slotstream.version)}",
                "slotstream_replay_window_seconds", "slotstream_replay_window_bytes", "slotstream_replay_window_moves_total",
                "slotstream_replay_window_move_seconds_total", "slotstream_tail_repairs_total",
                "slotstream_role{role=active}", "slotstream_role{role=standby}", "slotstream_role{role=stopped}",
                "slotstream_connected{peer=postgres}", "slotstream_connected{peer=nats}", "process_cpu_seconds_total",
            ] + EventFailure.allCases.map { "fraiseql_observer_events_failed_total{reason=\($0.rawValue)}" }
            + ResynchronisationCause.allCases.map { "slotstream_resynchronisations_total{cause=\($0.rawValue)}" }
        #expect(Set(metrics.series.keys) == Set(expected))
        #expect(metrics.series["slotstream_build_info{version=\(Slotstream.version)}"] == 1)
    }

    @Test func countersCountUnderTheirLabels() {
        let observations = observations()
        observations.meters.failed(.poisonEvent)
        observations.meters.resynchronised(.ackTimeout)
        observations.meters.resynchronised(.ackTimeout)
        observations.reconnecting(to: .nats)
        observations.meters.events(of: EventKind(entity: "Order", operation: "INSERT")).increment(by: 3)
        #expect(metrics.series["fraiseql_observer_events_failed_total{reason=poison_event}"] == 1)
        #expect(metrics.series["slotstream_resynchronisations_total{cause=ack_timeout}"] == 2)
        #expect(metrics.series["slotstream_reconnects_total{peer=nats}"] == 1)
        #expect(metrics.series["slotstream_events_total{entity=Order,operation=INSERT}"] == 3)
    }

    @Test func gaugesAreWhatIsObservedWhenTheyAreRefreshed() {
        let observations = connected()
        observations.confirmedLSN.store(.max, ordering: .relaxed)
        observations.receivedLSN.store(77, ordering: .relaxed)
        observations.inFlightCount.store(5, ordering: .relaxed)
        observations.retainedByteCount.store(600, ordering: .relaxed)
        observations.saw(slot(17, safe: 32))
        observations.refreshMetrics()
        #expect(metrics.series["slotstream_up"] == 1)
        #expect(metrics.series["slotstream_slot_active"] == 1)
        #expect(metrics.series["slotstream_confirmed_lsn"] == Double(UInt64.max))
        #expect(metrics.series["slotstream_received_lsn"] == 77)
        #expect(metrics.series["slotstream_inflight_messages"] == 5)
        #expect(metrics.series["slotstream_inflight_bytes"] == 600)
        #expect(metrics.series["slotstream_slot_retained_bytes"] == 16)
        #expect(metrics.series["slotstream_slot_safe_bytes"] == 32)
    }

    @Test func whatNobodyKnowsIsNotANumberAndAbsent() {
        let observations = observations()
        let names = [
            "slotstream_source_lag_bytes", "slotstream_source_lag_seconds", "slotstream_slot_retained_bytes",
            "slotstream_slot_safe_bytes", "slotstream_confirmed_lsn", "slotstream_received_lsn",
        ]
        for name in names { #expect(gauge(name, of: observations)?.isNaN == true, "\(name)") }
        let source = observations.status().source
        #expect(source.lagBytes == nil && source.lagSeconds == nil && source.retainedBytes == nil && source.safeBytes == nil)
        observations.saw(slot(101, confirmed: 41))
        for name in names.dropLast() where name != "slotstream_source_lag_seconds" {
            #expect(gauge(name, of: observations)?.isNaN == false, "\(name)")
        }
        observations.lostSight()
        for name in names.prefix(4) { #expect(gauge(name, of: observations)?.isNaN == true, "\(name)") }
        #expect(!observations.status().ready)
    }

    @Test func whoeverHasNoSessionTellsWhatPostgresShows() {
        let observations = observations()
        observations.texts.withLock { $0.role = .standby }
        observations.saw(slot(1_001, confirmed: 901, safe: 77))
        #expect(gauge("slotstream_source_lag_bytes", of: observations) == 100)
        #expect(gauge("slotstream_slot_retained_bytes", of: observations) == 1_000)
        #expect(gauge("slotstream_slot_safe_bytes", of: observations) == 77)
        #expect(gauge("slotstream_confirmed_lsn", of: observations) == 901)
        #expect(gauge("slotstream_slot_active", of: observations) == 0)
        #expect(gauge("slotstream_up", of: observations) == 0)
        // Another streamer goes on.
        observations.saw(slot(2_000, confirmed: 2_000, safe: 77))
        #expect(gauge("slotstream_source_lag_bytes", of: observations) == 0)
        #expect(gauge("slotstream_source_lag_seconds", of: observations) == 0)
        // Another server, whose WAL is shorter.
        observations.saw(slot(500, confirmed: 400))
        #expect(gauge("slotstream_source_lag_bytes", of: observations) == 100)
    }

    @Test func aSlotThatIsLostHasNothingLeftAndOneWithoutALimitHasNoEnd() {
        let observations = observations()
        observations.saw(slot(10))
        #expect(gauge("slotstream_slot_safe_bytes", of: observations) == .infinity)
        observations.saw(slot(10, status: "lost"))
        #expect(gauge("slotstream_slot_safe_bytes", of: observations) == 0)
    }

    @Test func whatWaitedAtTheStartIsAsOldAsTheNewestStoredChangeUntilTheFirstRow() {
        let observations = connected()
        observations.saw(slot(329_000_000, confirmed: 1_000))
        #expect(observations.status().source.lagSeconds == nil)
        observations.learned(newestStored: PostgresTimestamp(unixMicroseconds: PostgresTimestamp.now.unixMicroseconds - 60_000_000))
        let seconds = observations.status().source.lagSeconds ?? -1
        #expect(seconds >= 60 && seconds < 120)
        observations.oldestCommit.store(PostgresTimestamp.now.unixMicroseconds - 30_000_000, ordering: .relaxed)
        #expect((30..<60).contains(observations.status().source.lagSeconds ?? -1))
        observations.oldestCommit.store(0, ordering: .relaxed)
        observations.storedLSN.store(329_000_000, ordering: .relaxed)
        #expect(observations.status().source.lagSeconds == 0)
    }

    @Test func aStandbyDoesNotKeepWhatItHadReadBefore() {
        let observations = connected()
        observations.oldestCommit.store(1, ordering: .relaxed)
        observations.receivedLSN.store(1, ordering: .relaxed)
        #expect(observations.disconnected(by: .slotActive(SlotHolder(pid: 7)), isStandingBy: true))
        observations.saw(slot(9, confirmed: 9))
        #expect(observations.status().source.lagSeconds == 0)
        #expect(observations.status().source.receivedLsn == nil)
        #expect(!observations.disconnected(by: .slotActive(SlotHolder(pid: 7)), isStandingBy: true))
    }

    @Test func postgresIsKnownWhileNATSIsAwaitedAndNotWhenItFailedItself() {
        let observations = connected()
        observations.saw(slot(20, confirmed: 10))
        _ = observations.disconnected(by: .jetStream(.notConnected("gone")), isStandingBy: false)
        #expect(observations.status().source.lagBytes == 10)
        #expect(observations.status().reasons == ["not connected to NATS, or resynchronising"])
        _ = observations.disconnected(by: .postgres(.connectionLost(message: "gone")), isStandingBy: false)
        #expect(observations.status().source.lagBytes == nil)
        #expect(observations.status().reasons.contains("not connected to PostgreSQL"))
    }
}
