import History
import JetStreamPublishing
import Logging
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
    /// Where the consumer has no limit.
    private static let heldAtMost = 1_000
    /// Bytes of messages from which on nothing more is asked for.
    private static let heldByteLimit = 16 << 20
    /// How long what a lost session had under way is waited for.
    private static let lostSessionTime = Duration.seconds(30)
    /// Between two looks of a worker that stands by.
    private static let standbyInterval = Duration.milliseconds(500)

    /// One connection's life.
    func runSession() throws(StreamerError) {
        state.turned("worker")
        state.beginSession()
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
        board.pause()
        // A consumer that delivers to one client only gives that one up when it asks for nothing for a while, as a worker does whose
        // events all wait for a retry: it is no lease.
        let isPinned = isPinned(setup.consumer)
        let ordering: ObserverStatus.Ordering = configuration.isOrdered ? .lease : isPinned ? .pinned : .none
        board.forgetDone()
        let lease = WorkerLease(
            configuration, ackWait: setup.consumer.ackWaits.lowerBound, identity: identity, consumer: setup.consumer,
            streamCreated: setup.streamCreated)
        state.change { $0.consumer.differences = setup.differences }
        var hadHolder = false
        if ordering == .lease {
            guard let isFollowing = try obtain(lease, over: link) else { return }
            hadHolder = isFollowing
            // Much may have happened while it stood by.
            setup = try WorkerSetup.perform(configuration, start: nil, over: link.connection)
        } else {
            state.permit(until: .now + .seconds(10 * 365 * 86_400))
        }
        state.change { status in
            status.role = .active
            status.ordering = ordering
            status.holder = ordering == .lease ? WorkerLease.place : nil
        }
        logger.notice(
            "working",
            metadata: [
                "stream": "\(configuration.stream)", "consumer": "\(configuration.consumer)", "ordering": "\(ordering.rawValue)",
                "pending": .stringConvertible(setup.consumer.pendingCount), "observers": .stringConvertible(state.observers.count),
            ])
        let keeper = WorkerKeeper(configuration, state, board, lease: ordering == .lease ? lease : nil, setup, logger: logger)
        let advisories = AdvisoryReader(
            configuration, state, board, keeper, maxDeliver: setup.consumer.maxDeliver, failpoints: failpoints, logger: logger)
        defer {
            advisories.stop()
            keeper.stop()
        }
        try keeper.start(over: link.connection)
        try advisories.start(over: link.connection)
        let group = isPinned ? setup.consumer.priorityGroups.first : nil
        let reader = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try link.connection.openDurable(configuration.stream, configuration.consumer, group: group)
        }
        do throws(StreamerError) {
            try read(link, reader, setup.consumer, ordering == .lease ? Gathering(setup.consumer, after: hadHolder ? lease.duration : nil) : nil, keeper)
        } catch {
            let returned = giveUp(reader, setup.consumer)
            if ordering != .lease { keeper.record(returned: returned, over: link.connection) }
            throw error
        }
        let returned = giveUp(reader, setup.consumer)
        advisories.stop()
        keeper.stop()
        if ordering == .lease {
            lease.release(ackFloor: keeper.ackFloor, returned: returned, over: link.connection)
        } else {
            keeper.record(returned: returned, over: link.connection)
        }
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
    /// - Returns: Whether somebody had it who has not let it go; nil: asked to stop.
    private func obtain(_ lease: WorkerLease, over link: WorkerLink) throws(StreamerError) -> Bool? {
        var isTold = false
        while !control.isRequested {
            state.turned("worker")
            let answer = try StreamerError.ofJetStream { () throws(JetStreamError) in try lease.take(over: link.connection) }
            if let until = answer.until {
                state.permit(until: until)
                return answer.hadHolder
            }
            state.change { status in
                status.role = .standby
                status.ordering = .lease
                status.holder = answer.holder
            }
            if !isTold {
                logger.notice(
                    "standing by: another worker works", metadata: ["holder": "\(answer.holder ?? "")", "consumer": "\(configuration.consumer)"])
            }
            isTold = true
            wait(min(Self.standbyInterval, lease.duration / 5))
        }
        return nil
    }

    private func isPinned(_ consumer: ConsumerInfo) -> Bool { consumer.priorityPolicy == "pinned_client" }

    /// Takes messages until asked to stop.
    ///
    /// - Throws: What ends the session.
    /// - Parameter gathering: What is waited for first.
    private func read(
        _ link: WorkerLink, _ reader: DurableReader, _ consumer: ConsumerInfo, _ gathering: Gathering?, _ keeper: WorkerKeeper
    ) throws(StreamerError) {
        let most = consumer.maxAckPending > 0 ? consumer.maxAckPending : Self.heldAtMost
        let room = min(most, max(Self.heldAtLeast, configuration.maxConcurrency * Self.heldPerAction))
        var gathering = gathering
        if gathering == nil { board.begin() }
        while !control.isRequested {
            state.turned("worker")
            if let failure = state.failure { throw failure }
            if let refusal = link.refusal { throw .jetStream(.permission(refusal)) }
            if let reason = link.closedReason { throw .jetStream(.connectionClosed(reason)) }
            if link.connection.isWedged { throw .jetStream(.wedged("the connection does not come back from its lock")) }
            if let waiting = gathering, waiting.isOver(holding: board.count, keeper) {
                gathering = nil
                board.begin()
            }
            // What another worker held comes first: until the server would deliver it again, nothing is asked for.
            if let gathering, ContinuousClock.now < gathering.from {
                wait(min(.milliseconds(100), gathering.from - .now))
                continue
            }
            let room = gathering.map { max(room, $0.count) } ?? room
            let free = free(of: room, atMost: max(most, room))
            // Nothing is asked for and there is no room: whatever ends makes some.
            if !reader.asks(for: free, of: room) {
                board.waitForRoom(Self.readTime)
                continue
            }
            switch try next(reader, room: free, of: room) {
            case .message(let message):
                guard take(message) else { throw Self.consumerGone }
                if isPinned(consumer) { state.change { $0.role = .active } }
            case .nothing: break
            case .pinnedElsewhere: state.change { $0.role = .standby }
            case .consumerGone: throw Self.consumerGone
            }
        }
    }

    /// The next session finds out what that means.
    static var consumerGone: StreamerError {
        .jetStream(
            .api(code: 503, errCode: JetStreamErrorCode.consumerNotFound, description: "the consumer was deleted", operation: "read from the consumer"))
    }

    /// One look; what the server has against it for a while is none.
    private func next(_ reader: DurableReader, room: Int, of whole: Int) throws(StreamerError) -> DurableReader.Event {
        do throws(JetStreamError) {
            let event = try reader.next(room: room, of: whole, timeout: Self.readTime)
            state.mended(.reading)
            return event
        } catch {
            guard error.isTransient else { throw .jetStream(error) }
            state.tell(.reading, "events cannot be read now", error)
            wait(.milliseconds(200))
            return .nothing
        }
    }

    /// The wait, after a change of workers, for what was delivered to the former: an entity's later events must not overtake it.
    private struct Gathering {
        /// Before that nothing is asked for: the server would give what is new instead.
        let from: ContinuousClock.Instant
        /// Longer it does not take: what has not come by then does not come.
        let until: ContinuousClock.Instant
        /// What the server waited for at the beginning.
        let count: Int

        /// - Parameter lease: Of a former worker that has not let it go, and has said nothing for so long; nil: all that it had was handed back.
        /// - Returns: nil: nothing is waited for.
        init?(_ consumer: ConsumerInfo, after lease: Duration?) {
            guard consumer.ackPendingCount > 0 else { return nil }
            let longest = consumer.ackWaits.upperBound
            // It renewed four times a lease, and may have told of progress until just before the next time.
            from = .now + (lease.map { max(.zero, longest - $0 * 0.75) + .milliseconds(500) } ?? .zero)
            until = from + consumer.gatheringTime
            count = Int(clamping: consumer.ackPendingCount)
        }

        /// Whether all that the server waits for is held here, or will not come any more.
        func isOver(holding count: Int, _ keeper: WorkerKeeper) -> Bool {
            if ContinuousClock.now >= until { return true }
            guard let pending = keeper.freshAckPending else { return false }
            return pending <= UInt64(count)
        }
    }

    /// How many more messages there is room for. What waits for a host that nothing goes to takes no room from the others, as far as the server gives more.
    private func free(of room: Int, atMost most: Int) -> Int {
        let load = board.load
        guard load.byteCount < Self.heldByteLimit else { return 0 }
        return max(0, min(room + load.parkedCount, most) - load.count)
    }

    /// - Returns: false: the message is another stream's.
    private func take(_ message: DeliveredMessage) -> Bool {
        let session = state.session
        let known = board.admit(message.stored) {
            EventJob(message, event: EventJob.event(in: message.stored, of: configuration.stream), at: .now, session: session)
        }
        switch known {
        case .held(let job): job.redelivered(message, in: session)
        case .done: try? state.connection?.tell(.done, to: message.reply)
        case .other: return false
        case nil: break
        }
        return true
    }

    /// Ends the work: what has not begun or waits goes back to the server, and what is being done may end.
    /// - Returns: What went back though it was its last delivery.
    private func giveUp(_ reader: DurableReader, _ consumer: ConsumerInfo) -> [UInt64] {
        let late = reader.close()
        let idle = board.windDown()
        for job in idle { handBack(job) }
        for message in late { try? state.connection?.tell(.again(after: .zero), to: message.reply) }
        // Best effort: what does not arrive comes again by itself.
        try? state.connection?.flush(timeout: .seconds(1))
        var end = ContinuousClock.now + max(Self.lostSessionTime, configuration.shutdownTimeout)
        var isDone = false
        var isStop = false
        while !isDone, ContinuousClock.now < end {
            state.turned("worker")
            if control.isRequested, !isStop {
                isStop = true
                end = min(end, .now + configuration.shutdownTimeout)
            }
            isDone = board.waitUntilIdle(min(.milliseconds(200), end - .now))
        }
        let running = isDone ? [] : board.all
        if !isDone {
            // It may end yet, and is done again then: nobody waits for it longer.
            for job in running { handBack(job) }
            try? state.connection?.flush(timeout: .seconds(1))
            logger.warning(
                isStop ? "ended while actions were under way: their events come again" : "actions of a lost session are still under way",
                metadata: ["count": .stringConvertible(board.runningCount)])
        }
        state.permit(until: nil)
        guard consumer.maxDeliver > 0 else { return [] }
        return (idle + running).filter { !$0.isGivenUp && $0.deliveryCount >= consumer.maxDeliver }.map(\.sequence)
            + late.filter { $0.deliveryCount >= consumer.maxDeliver }.map(\.stored.sequence)
    }
}

extension ConsumerInfo {
    /// For so long at most a former worker's messages are waited for. nats-server gives them again within the longest wait for an ack; one that has just restarted, or has much else to do,
    /// takes longer, and whoever does not wait lets later events of an entity overtake. As a rule the server's count of what is pending ends the wait.
    var gatheringTime: Duration { ackWaits.upperBound * 2 + .seconds(10) }
}
