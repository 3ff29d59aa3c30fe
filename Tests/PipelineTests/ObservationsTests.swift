import Capture
import CoreMetrics
import Synchronization
import Testing
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
            texts.isNATSConnected = true
        }
        return observations
    }

    @Test func isReadyOnlyWhenConnectedToBoth() {
        #expect(connected().status().ready)
        for (isPostgresConnected, isNATSConnected) in [(false, true), (true, false), (false, false)] {
            let observations = observations()
            observations.texts.withLock { texts in
                texts.isPostgresConnected = isPostgresConnected
                texts.isNATSConnected = isNATSConnected
            }
            let status = observations.status()
            #expect(status.live && !status.ready)
            #expect(status.reasons.count == (isPostgresConnected ? 0 : 1) + (isNATSConnected ? 0 : 1))
        }
    }

    @Test func anAnswerIsCleanedUpAfterOnceAndNotAtOnce() {
        let observations = connected()
        #expect(!observations.hasAnswered(at: .now + .seconds(9)))
        let before = Instant.now
        _ = observations.status()
        #expect(!observations.hasAnswered(at: before + .milliseconds(200)))
        #expect(observations.hasAnswered(at: .now + .seconds(9)))
        #expect(!observations.hasAnswered(at: .now + .seconds(9)))
        observations.refreshMetrics()
        #expect(observations.hasAnswered(at: .now + .seconds(9)))
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
        observations.storedLSN.store(1_000, ordering: .relaxed)
        observations.receivedLSN.store(1_100, ordering: .relaxed)
        #expect(observations.status().ready)
        #expect(observations.status().source.lagBytes == 100)
        observations.texts.withLock { $0.serverLSN = LSN(1_101) }
        let status = observations.status()
        #expect(!status.ready && status.live)
        #expect(status.source.lagBytes == 101)
    }

    @Test func lagIsTheAgeOfTheOldestChangeThatIsNotStored() {
        let observations = connected()
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
                "slotstream_poison_events_total{outcome=quarantine}", "slotstream_poison_events_total{outcome=reference}",
                "slotstream_stray_stream_aborts_total", "slotstream_inflight_messages",
                "slotstream_inflight_bytes",
                "slotstream_up", "slotstream_reconnects_total{peer=postgres}", "slotstream_reconnects_total{peer=nats}",
                "slotstream_build_info{version=\(Slotstream.version)}",
            ] + StopReason.allCases.map { "fraiseql_observer_events_failed_total{reason=\($0.rawValue)}" }
            + ResynchronisationCause.allCases.map { "slotstream_resynchronisations_total{cause=\($0.rawValue)}" }
        #expect(Set(metrics.series.keys) == Set(expected))
        #expect(metrics.series["slotstream_build_info{version=\(Slotstream.version)}"] == 1)
    }

    @Test func countersCountUnderTheirLabels() {
        let observations = observations()
        observations.meters.failed(.poisonEvent)
        observations.meters.resynchronised(.ackTimeout)
        observations.meters.resynchronised(.ackTimeout)
        observations.meters.reconnectedNATS()
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
        observations.texts.withLock { texts in
            texts.retainedBytes = 16
            texts.safeBytes = 32
        }
        observations.refreshMetrics()
        #expect(metrics.series["slotstream_up"] == 1)
        #expect(metrics.series["slotstream_slot_active"] == 1)
        #expect(metrics.series["slotstream_confirmed_lsn"] == Double(Int64.max))
        #expect(metrics.series["slotstream_received_lsn"] == 77)
        #expect(metrics.series["slotstream_inflight_messages"] == 5)
        #expect(metrics.series["slotstream_inflight_bytes"] == 600)
        #expect(metrics.series["slotstream_slot_retained_bytes"] == 16)
        #expect(metrics.series["slotstream_slot_safe_bytes"] == 32)
    }
}
