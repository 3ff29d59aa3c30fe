import History
import JetStreamPublishing
import Logging
import Observing
import Pipeline
import Synchronization
import Threads
import WAL

extension ObserverWorker {
    /// How long one look for a message lasts.
    private static let readTime = Duration.milliseconds(100)
    /// Messages that are held, beside those that are worked on: so that one entity's events do not keep the others from coming.
    private static let heldPerAction = 4
    private static let heldAtLeast = 64
    /// Between two looks of a worker that stands by.
    private static let standbyInterval = Duration.milliseconds(500)

    /// One connection's life.
    func runSession() throws(StreamerError) {
        state.turned("worker")
        let link = try WorkerLink.connected(configuration) { [control] in !control.isRequested }
        defer {
            state.connection = nil
            link.connection.close()
        }
        state.connection = link.connection
        rotation.worked()
        state.turned("worker")
        var setup = try WorkerSetup.perform(configuration, start: nil, over: link.connection)
        tell(setup)
        // Until it is known who works.
        board.pause()
        // A consumer that delivers to one client only gives that one up when it asks for nothing for a while, as a worker does whose
        // events all wait for a retry: it is no lease.
        let isPinned = setup.consumer.priorityPolicy == "pinned_client"
        let ordering: ObserverStatus.Ordering = configuration.isOrdered ? .lease : isPinned ? .pinned : .none
        board.forgetDone()
        let lease = WorkerLease(
            configuration, ackWait: .nanoseconds(setup.consumer.ackWaitNanoseconds), identity: identity, consumer: setup.consumer,
            streamCreated: setup.streamCreated)
        state.change { status in
            status.ordering = ordering
            status.consumer.differences = setup.differences
        }
        if ordering == .lease {
            guard try obtain(lease, over: link) else { return }
            // Much may have happened while it stood by.
            setup = try WorkerSetup.perform(configuration, start: nil, over: link.connection)
        } else {
            state.permit(until: .now + .seconds(10 * 365 * 86_400))
        }
        state.change { status in
            status.role = .active
            status.holder = ordering == .lease ? WorkerLease.place : nil
        }
        logger.notice(
            "working",
            metadata: [
                "stream": "\(configuration.stream)", "consumer": "\(configuration.consumer)", "ordering": "\(ordering.rawValue)",
                "pending": .stringConvertible(setup.consumer.pendingCount), "observers": .stringConvertible(state.observers.count),
            ])
        let keeper = WorkerKeeper(configuration, state, board, lease: ordering == .lease ? lease : nil, setup, logger: logger)
        let advisories = AdvisoryReader(configuration, state, board, failpoints: failpoints, logger: logger)
        defer {
            advisories.stop()
            keeper.stop()
        }
        try keeper.start(over: link.connection)
        try advisories.start(over: link.connection)
        do throws(StreamerError) {
            try read(link, setup.consumer, isAlone: ordering == .lease, keeper)
        } catch {
            giveUp(within: .seconds(30), isStop: false)
            throw error
        }
        giveUp(within: configuration.shutdownTimeout, isStop: true)
        advisories.stop()
        keeper.stop()
        lease.release(ackFloor: keeper.ackFloor, over: link.connection)
        try? link.connection.flush(timeout: .seconds(1))
    }

    private func tell(_ setup: WorkerSetup.Outcome) {
        for object in setup.created { logger.notice("made what was missing", metadata: ["object": "\(object)"]) }
        for difference in setup.differences {
            logger.warning(
                "the consumer differs from the configuration; a consumer that exists is never altered",
                metadata: ["consumer": "\(configuration.consumer)", "difference": "\(difference)"])
        }
    }

    /// Stands by until the lease is this worker's.
    /// - Returns: Whether it is; false: asked to stop.
    private func obtain(_ lease: WorkerLease, over link: WorkerLink) throws(StreamerError) -> Bool {
        var isTold = false
        while !control.isRequested {
            state.turned("worker")
            let answer = try StreamerError.ofJetStream { () throws(JetStreamError) in try lease.take(over: link.connection) }
            if let until = answer.until {
                state.permit(until: until)
                return true
            }
            state.change { status in
                status.role = .standby
                status.holder = answer.holder
            }
            if !isTold {
                logger.notice(
                    "standing by: another worker works", metadata: ["holder": "\(answer.holder ?? "")", "consumer": "\(configuration.consumer)"])
            }
            isTold = true
            wait(min(Self.standbyInterval, lease.duration / 5))
        }
        return false
    }

    /// Takes messages until asked to stop.
    /// - Throws: What ends the session.
    private func read(_ link: WorkerLink, _ consumer: ConsumerInfo, isAlone: Bool, _ keeper: WorkerKeeper) throws(StreamerError) {
        let group = consumer.priorityPolicy == "pinned_client" ? consumer.priorityGroups.first : nil
        let reader = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try link.connection.openDurable(configuration.stream, configuration.consumer, group: group)
        }
        var room = max(Self.heldAtLeast, configuration.maxConcurrency * Self.heldPerAction)
        if consumer.maxAckPending > 0 { room = min(room, consumer.maxAckPending) }
        // What another worker holds, or held, comes first: an entity's later events must not overtake it.
        var gathering = isAlone && consumer.ackPendingCount > 0
            ? Gathering(until: .now + .nanoseconds(consumer.ackWaitNanoseconds) + .seconds(2), room: room + Int(clamping: consumer.ackPendingCount)) : nil
        if gathering == nil { board.begin() }
        while !control.isRequested {
            state.turned("worker")
            if let failure = keeper.failure { throw failure }
            if let reason = link.closedReason { throw .jetStream(.connectionClosed(reason)) }
            if link.connection.isWedged { throw .jetStream(.wedged("the connection does not come back from its lock")) }
            let free = (gathering?.room ?? room) - board.count
            switch try next(reader, room: max(0, free)) {
            case .message(let message):
                take(message)
                if group != nil { state.change { $0.role = .active } }
            case .nothing: break
            case .pinnedElsewhere: state.change { $0.role = .standby }
            case .consumerGone: throw Self.consumerGone
            }
            if let waiting = gathering, waiting.isOver(holding: board.count, keeper) {
                gathering = nil
                board.begin()
            }
        }
    }

    /// The next session finds out what that means.
    static var consumerGone: StreamerError {
        .jetStream(
            .api(code: 503, errCode: JetStreamErrorCode.consumerNotFound, description: "the consumer was deleted", operation: "read from the consumer"))
    }

    /// One look; what the server has against it for a while is none.
    private func next(_ reader: DurableReader, room: Int) throws(StreamerError) -> DurableReader.Event {
        do throws(JetStreamError) {
            return try reader.next(room: room, timeout: Self.readTime)
        } catch {
            guard error.isTransient else { throw .jetStream(error) }
            state.tell("events cannot be read now", error)
            wait(.milliseconds(200))
            return .nothing
        }
    }

    /// The wait, after a change of workers, for what was delivered before.
    private struct Gathering {
        var until: ContinuousClock.Instant
        var room: Int

        /// Whether all that the server waits for is held here, or will not come any more.
        func isOver(holding count: Int, _ keeper: WorkerKeeper) -> Bool {
            if ContinuousClock.now >= until { return true }
            guard let pending = keeper.freshAckPending else { return false }
            return pending <= UInt64(count)
        }
    }

    private func take(_ message: DeliveredMessage) {
        let held = board.admit(message.stored.sequence) {
            var event = ObservedEvent(payload: message.stored.payload, messageID: message.stored.messageID, subject: message.stored.subject)
            if event?.id.isEmpty ?? false { event?.id = "\(configuration.stream).\(message.stored.sequence)" }
            return EventJob(message, event: event, at: .now)
        }
        switch held {
        case .held(let job): job.redelivered(message)
        case .done: try? state.connection?.tell(.done, to: message.reply)
        case nil: break
        }
    }

    /// Ends the work: what has not begun or waits goes back to the server, and what is being done may end.
    private func giveUp(within time: Duration, isStop: Bool) {
        let idle = board.windDown()
        for job in idle { handBack(job) }
        try? state.connection?.flush(timeout: .seconds(1))
        let end = ContinuousClock.now + time
        var isDone = false
        while !isDone, ContinuousClock.now < end {
            state.turned("worker")
            isDone = board.waitUntilIdle(min(.seconds(1), end - .now))
        }
        if !isDone {
            logger.warning(
                isStop ? "ended while actions were under way: their events come again" : "actions of a lost session are still under way",
                metadata: ["count": .stringConvertible(board.runningCount)])
        }
        state.permit(until: nil)
    }
}
