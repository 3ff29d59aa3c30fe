import Glibc
import History
import JetStreamPublishing
import Logging
import Synchronization
import Threads
import WAL

/// What a worker has to do all the time beside its work: tell the server that what is held is being worked on, put the lease again, look at the consumer.
final class WorkerKeeper: Sendable {
    private struct Values {
        var isStopped = false
        var ackFloor: UInt64?
        /// As it was asked last, and not read since.
        var ackPending: UInt64?
        /// A lease of somebody else's, and when it was seen first.
        var lease: (revision: UInt64, seenAt: ContinuousClock.Instant)?
    }

    /// One turn.
    private static let turnMicroseconds: useconds_t = 50_000
    private static let watchInterval = Duration.seconds(5)
    /// While what another worker held is waited for.
    private static let gatheringInterval = Duration.milliseconds(500)
    private static let deadLettersInterval = Duration.seconds(10)
    /// Between two records of a worker without a lease.
    private static let recordInterval = Duration.seconds(10)

    private let configuration: WorkerConfiguration
    private let state: WorkerState
    private let board: WorkBoard
    private let lease: WorkerLease?
    private let setup: WorkerSetup.Outcome
    private let logger: Logger
    private let values = Mutex(Values())

    /// - Parameter lease: nil: others may work too.
    init(
        _ configuration: WorkerConfiguration, _ state: WorkerState, _ board: WorkBoard, lease: WorkerLease?, _ setup: WorkerSetup.Outcome,
        logger: Logger
    ) {
        self.configuration = configuration
        self.state = state
        self.board = board
        self.lease = lease
        self.setup = setup
        self.logger = logger
    }

    /// How far the consumer has come.
    var ackFloor: UInt64? { values.withLock { $0.ackFloor } }
    /// Messages that the server waits for, as it said since this was asked last.
    var freshAckPending: UInt64? {
        values.withLock { values in
            defer { values.ackPending = nil }
            return values.ackPending
        }
    }

    /// Begins, on a thread of its own.
    func start(over connection: JetStreamConnection) throws(StreamerError) {
        do throws(SystemError) {
            try OwnedThread(name: "keeper") { [self] in
                run(connection)
                state.ended("keeper")
            }.detach()
        } catch {
            throw .system(error.message)
        }
    }

    /// Ends it; the thread may take a moment more.
    func stop() { values.withLock { $0.isStopped = true } }

    private func run(_ connection: JetStreamConnection) {
        let ackWaits = setup.consumer.ackWaits
        // Three times before a message counts as forgotten.
        let progressInterval = max(.milliseconds(100), ackWaits.lowerBound / 3)
        let leaseInterval = lease.map { $0.duration / 4 }
        let isGathering = setup.consumer.ackPendingCount > 0
        let gatheringEnd = ContinuousClock.now + setup.consumer.gatheringTime
        var progressAt = ContinuousClock.now + progressInterval
        var leaseAt = ContinuousClock.now
        var watchAt = ContinuousClock.now
        var deadLettersAt = ContinuousClock.now
        var recordAt = ContinuousClock.now
        var leaseValidUntil = ContinuousClock.now + (lease?.duration ?? .zero)
        while !values.withLock({ $0.isStopped }), state.failure == nil {
            state.turned("keeper")
            let now = ContinuousClock.now
            if now >= progressAt {
                progressAt = now + progressInterval
                tellProgress(connection)
            }
            if let lease, let leaseInterval, now >= leaseAt {
                leaseAt = now + leaseInterval
                do throws(JetStreamError) {
                    guard let until = try lease.renew(ackFloor: ackFloor, over: connection) else {
                        state.permit(until: nil)
                        return state.fail(.streamMoved("another worker has taken over"))
                    }
                    state.permit(until: until)
                    state.mended(.lease)
                    leaseValidUntil = now + lease.duration
                } catch {
                    if values.withLock({ $0.isStopped }) { return }
                    state.tell(.lease, "the lease cannot be put again now", error)
                    // The others have it by now.
                    if now > leaseValidUntil {
                        state.permit(until: nil)
                        return state.fail(.jetStream(error))
                    }
                }
            }
            if now >= watchAt {
                watchAt = now + (isGathering && now < gatheringEnd ? Self.gatheringInterval : Self.watchInterval)
                watch(connection)
            }
            if now >= deadLettersAt {
                deadLettersAt = now + Self.deadLettersInterval
                lookAtDeadLetters(connection)
            }
            if lease == nil, now >= recordAt {
                recordAt = now + Self.recordInterval
                record(over: connection)
            }
            connection.sendBuffered()
            usleep(Self.turnMicroseconds)
        }
    }

    /// Of all at once, in the order of the stream: should this worker die, they come again in that order.
    private func tellProgress(_ connection: JetStreamConnection) {
        for job in board.all {
            do throws(JetStreamError) { try connection.tell(.inProgress, to: job.reply) } catch { return }
        }
    }

    private func watch(_ connection: JetStreamConnection) {
        do throws(JetStreamError) {
            guard let info = try connection.consumerInfo(configuration.stream, configuration.consumer, timeout: .seconds(2)) else {
                return state.fail(ObserverWorker.consumerGone)
            }
            guard info.created == setup.consumer.created else { return state.fail(ObserverWorker.consumerGone) }
            state.mended(.consumer)
            values.withLock { values in
                values.ackFloor = info.ackFloorSequence
                values.ackPending = info.ackPendingCount
            }
            state.change { status in
                status.consumer.pending = info.pendingCount
                status.consumer.ackPending = info.ackPendingCount
                status.consumer.ackFloor = info.ackFloorSequence
            }
        } catch {
            if values.withLock({ $0.isStopped }) { return }
            // The next session finds out what that means.
            if error.errCode == JetStreamErrorCode.streamNotFound { return state.fail(ObserverWorker.consumerGone) }
            state.tell(.consumer, "the consumer cannot be looked at now", error)
        }
    }

    /// A stream that somebody has deleted is made again: a dead letter must find it.
    private func lookAtDeadLetters(_ connection: JetStreamConnection) {
        do throws(JetStreamError) {
            let count = try DeadLetterBox(configuration, over: connection).count(timeout: .seconds(2))
            state.change { $0.deadLetters.messages = count ?? 0 }
            guard count == nil else { return }
            do throws(StreamerError) { try WorkerSetup.makeStreams(configuration, over: connection) } catch {
                state.tell(.deadLetters, "the stream of dead letters was deleted, and cannot be made again", error: "\(error)")
            }
        } catch {
            // Whoever wants to store a letter tells.
        }
    }

    /// How far the consumer has come, for the day on which it is gone.
    /// - Parameter sequences: What this worker hands back on the last delivery.
    func record(returned sequences: [UInt64] = [], over connection: JetStreamConnection) {
        do throws(JetStreamError) {
            let (found, revision) = try WorkerRecord.read(configuration, over: connection, timeout: .seconds(2))
            guard !isLeaseOfAnother(found, revision) else { return }
            var record = WorkerRecord(
                holder: "", place: WorkerLease.place, since: PostgresTimestamp.now.description, leaseSeconds: 0,
                consumerCreated: setup.consumer.created, streamCreated: setup.streamCreated, ackFloor: ackFloor ?? setup.consumer.ackFloorSequence,
                returned: found?.returned)
            record.add(returned: sequences)
            // Others put it too: whoever is first. What is handed back must be in it.
            if try record.put(configuration, after: revision, over: connection, timeout: .seconds(2)) == nil, !sequences.isEmpty {
                self.record(returned: sequences, over: connection)
            }
            state.mended(.record)
        } catch {
            state.tell(.record, "the worker's record cannot be put now", error, ["key": "\(configuration.recordKey)"])
        }
    }

    /// Whether a worker that works alone has put it, and not long ago: it is not written over.
    private func isLeaseOfAnother(_ record: WorkerRecord?, _ revision: UInt64) -> Bool {
        guard let record, !record.holder.isEmpty else { return false }
        let now = ContinuousClock.now
        let since = values.withLock { values in
            if values.lease?.revision != revision { values.lease = (revision, now) }
            return values.lease?.seenAt ?? now
        }
        guard now - since < .seconds(2 * min(max(record.leaseSeconds, 0), 3_600)) else { return false }
        state.tell(.record, "a worker with ordered = true uses the same consumer: give all workers the same setting", error: record.place)
        return true
    }

    /// What stopping workers have handed back on the last delivery.
    func returned(over connection: JetStreamConnection) throws(JetStreamError) -> Set<UInt64> {
        if let lease { return lease.returned }
        return Set(try WorkerRecord.read(configuration, over: connection).record?.returned ?? [])
    }
}
