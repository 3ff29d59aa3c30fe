import Capture
import History
import Logging
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What the server cannot send, and what is stored and confirmed before the session ends for it.
extension Session {
    /// From PostgreSQL 18 on a publication that is not found only makes it warn, and skip.
    func requireNoDoubt() throws(StreamerError) {
        guard doubt.isRaised else { return }
        guard let state = server.publicationState() else { throw server.questionError.map { .postgres($0) } ?? .cancelled }
        guard state.isOlderThanSlot else {
            throw SlotObstacle(.publicationMissing, reader.progress).stop(
                slot: configuration.source.slot, publication: configuration.source.publication)
        }
        doubt.dismiss()
    }

    /// Stops where the publication has gone, once all is decoded that was written while it was there.
    func watchPublication(at now: Instant) throws(StreamerError) {
        if publicationWatch.isDue(at: now), server.isLost || server.isAskable { publicationWatch.looked(server.isLost ? nil : server.publicationState(), at: now) }
        guard publicationWatch.isOver(decodedUpTo: reader.progress.endLSN) else { return }
        let state = "everything that commits before \(reader.progress.endLSN) was sent"
        throw .found(.configuration, [.publicationMissing(configuration.source.publication, state: state)])
    }

    /// What is told of an error that ended the reading. Where it comes again however often it is tried, all that came whole before it is stored and confirmed first.
    func ended(by error: StreamerError) -> StreamerError {
        var told = error
        var isServerListening = true
        var isObstacle = false
        if case .postgres(let refusal) = error {
            isServerListening = false
            if let obstacle = obstacle(refusal) {
                isObstacle = true
                if obstacles.isBelieved(obstacle) { told = obstacle.stop(slot: configuration.source.slot, publication: configuration.source.publication) }
            }
        }
        var isEnd = false
        if case .stop(let reason, _) = FailurePolicy.verdict(on: told) {
            isEnd = reason != .historyDiverged
            // Now, and not at the end: what came before it may take a while to be stored.
            observations.failed(reason.rawValue, "\(told)")
            if reason == .poisonEvent { observations.meters.failed(.poisonEvent) }
        }
        if isEnd || isObstacle, reader.assembler.isHistoryProven, !isMending {
            settle(isServerListening: isServerListening)
        }
        return told
    }

    func obstacle(_ error: PostgresError) -> SlotObstacle? {
        guard case .server = error else { return nil }
        guard !error.isUndefinedObject else {
            guard let state = server.publicationState() else { return nil }
            return SlotObstacle(error, reader.progress, isPublicationSure: state.isOlderThanSlot)
        }
        return SlotObstacle(error, reader.progress, isPublicationSure: true)
    }

    /// Reads nothing more, and has what came whole stored, recorded and confirmed.
    func settle(isServerListening: Bool) {
        logger.notice("waiting for the acks of the earlier events", metadata: ["retained": .stringConvertible(window.retainedCount)])
        delivery.isDraining.store(true, ordering: .releasing)
        delivery.wakePublisher()
        let deadline = port.now + configuration.delivery.shutdownTimeout
        do throws(StreamerError) {
            while port.now < deadline {
                if isServerListening {
                    try turn(isReading: false)
                } else {
                    try keepDelivering()
                }
                if isSettled(isServerListening) { break }
                if isServerListening {
                    wait(isReading: false)
                } else {
                    port.wait(isListening: false, orFor: nil, timeout: .seconds(1))
                }
            }
            if !isServerListening { confirmWithoutStream() }
        } catch {
            logger.warning("the earlier events are not known to be stored", metadata: ["error": "\(error)"])
        }
    }

    /// What a turn does for the other thread.
    func keepDelivering() throws(StreamerError) {
        observations.turned(.source)
        if let failure = delivery.failure.withLock({ $0 }) { throw failure }
        try requireLiveClient()
        makeConfirmable()
    }

    /// The walsender has ended: the slot is moved as anybody could move it, to what the record says.
    func confirmWithoutStream() {
        let recorded = LSN(delivery.recordedLSN.load(ordering: .acquiring))
        guard recorded > LSN(observations.confirmedLSN.load(ordering: .relaxed)) else { return }
        let deadline = port.now + SlotLook.timeout
        while port.now < deadline {
            if let lsn = server.advanceSlot(to: recorded) {
                observations.confirmedLSN.store(lsn.rawValue, ordering: .relaxed)
                return
            }
            // The server has told us of its error before it lets go of the slot.
            guard server.questionError?.isObjectInUse == true else { return }
            port.wait(isListening: false, orFor: nil, timeout: .milliseconds(50))
        }
    }
}
