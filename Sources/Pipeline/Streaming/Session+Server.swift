import History
import Logging
import PostgresReplication
import Synchronization
import Threads
import WAL

/// How the server is doing: over the ordinary connection, and by what its walsender answers.
extension Session {
    /// Reads how PostgreSQL sees the slot. What cannot be read now is not known; a server from which nothing has come meanwhile either is not connected to.
    func inspect() throws(StreamerError) {
        // While the catalogue is asked the slot is not looked at: that is made up for.
        guard server.isLost || server.isAskable else { return }
        lastInspectionAt = port.now
        defer { hasHeard = false }
        guard !server.isLost else { return observations.lostSight(isConnected: hasHeard) }
        let slot: SlotState
        do throws(PostgresError) {
            guard let found = try server.slot() else { return }
            slot = found
            delivery.serverLSN.store(found.currentWALLSN.rawValue, ordering: .releasing)
            delivery.inspectionCount.add(1, ordering: .acquiringAndReleasing)
            dangerousWALStatus = found.walStatus.flatMap { ["unreserved", "lost"].contains($0) ? $0 : nil }
            observations.saw(found)
        } catch {
            server.lost()
            observations.lostSight(isConnected: hasHeard)
            logger.debug("cannot inspect the slot", metadata: ["error": "\(error)"])
            return
        }
        if let position = gate.serverWrote(upTo: slot.currentWALLSN) { try decoded(upTo: position) }
        try requireHeld(slot)
    }

    /// Ends a session whose connection only seems to stand: the server has let its walsender go.
    func requireHeld(_ slot: SlotState) throws(StreamerError) {
        guard let holderPID, slot.activePID != holderPID else {
            isHolderGone = false
            return
        }
        // What the walsender said last may be on its way: that tells more.
        guard isHolderGone else {
            isHolderGone = true
            return
        }
        throw .postgres(
            .connectionLost(
                message:
                    "PostgreSQL's walsender \(holderPID) no longer holds slot \(slot.name), although the connection is open"))
    }

    /// Asks how far the server has written, on which a keepalive's position waits.
    func askServerEnd(at now: Instant) throws(StreamerError) {
        // When it can be had again is `inspect`'s to find out.
        guard server.isAskable else { return }
        lastServerEndAt = now
        let end: LSN
        do throws(PostgresError) {
            end = try server.writtenLSN()
        } catch {
            server.lost()
            return
        }
        if let position = gate.serverWrote(upTo: end) { try decoded(upTo: position) }
        guard !isImplausibleTold, let position = gate.implausible(at: now) else { return }
        isImplausibleTold = true
        logger.warning(
            "a keepalive names a position beyond PostgreSQL's WAL, and is ignored: check the network and the proxies between the servers",
            metadata: ["position": "\(position)", "wal_end": "\(end)"])
    }

    // MARK: - A walsender that says nothing

    /// Something came from the walsender, or what it says is left unread.
    func heard() {
        silence.heard(at: port.now)
        guard isSilenceTold else { return }
        isSilenceTold = false
        observations.texts.withLock { $0.isWalsenderSilent = false }
        logger.notice("PostgreSQL's walsender answers again")
    }

    func requireAnswers(at now: Instant) throws(StreamerError) {
        switch silence.verdict(at: now) {
        case .fine: return
        case .silent(let time):
            guard !isSilenceTold else { return }
            isSilenceTold = true
            observations.texts.withLock { $0.isWalsenderSilent = true }
            logger.warning(
                "PostgreSQL's walsender does not answer: the walsender decodes for a long time, or hangs, or the network hangs",
                metadata: [
                    "pid": holderPID.map { .stringConvertible($0) } ?? "unknown", "silent_s": .stringConvertible(Int(time.seconds)),
                    "given_up_after_s": .stringConvertible(Int(configuration.source.silenceLimit.seconds)),
                ])
        case .over(let time):
            throw .postgres(
                .connectionLost(message: "the walsender has answered nothing for \(Int(time.seconds)) s (source.silence_limit)"))
        }
    }

    // MARK: - The ordinary connection, when it is lost

    /// Makes the ordinary connection anew in its own time. A fast shutdown ends ordinary sessions first and takes no new ones; then it waits until its
    /// walsenders have sent all and their clients have heard it.
    ///
    /// To one that is listened to it gives the time to end by itself: behind a backlog, or in a long decoding, that would be as long as that takes.
    /// - Returns: Whether there is one again.
    /// - Throws: `.serverShuttingDown`.
    func restoreServer(whileListening isListening: Bool, at now: Instant) throws(StreamerError) -> Bool {
        if let shuttingDownSince {
            if !isListening || now.duration(since: shuttingDownSince) >= Self.endingTime { throw .serverShuttingDown }
            return false
        }
        let interval = isListening ? SlotLook.interval : Self.refusalInterval
        if !server.isConnecting, let refusedAt, now.duration(since: refusedAt) < interval { return false }
        do throws(PostgresError) {
            return try server.hasReconnected()
        } catch {
            logger.debug("cannot inspect the slot", metadata: ["error": "\(error)"])
            refusedAt = now
            if error.isShuttingDown { shuttingDownSince = now }
            if !isListening && (error.isShuttingDown || error.isUnreachable) { throw .serverShuttingDown }
            return false
        }
    }
}
