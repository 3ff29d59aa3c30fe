import Capture
import CoreMetrics
import Glibc
import JetStreamPublishing
import Logging
import PGOutput
import PostgresReplication
import Synchronization
import WAL

/// One replication connection's life, from START_REPLICATION on: reads, assembles, hands on, confirms. It belongs to one thread, which never waits for NATS.
final class Session {
    /// From its flush to its being shown a transaction takes this long at most, where nothing holds it up.
    private static let visibilityPatience = Duration.milliseconds(250)
    /// The server's view of the slot is read this often, for `/status` and the metrics.
    static let inspectionInterval = Duration.seconds(5)
    /// Frames between two looks at everything else.
    static let frameLimit = 4096
    /// Statuses come before what follows a message of this size.
    static let largeMessageByteCount = 1024 * 1024
    /// A libnats that holds its lock is believed to be stuck after this long more.
    static let wedgeConfirmationTime = Duration.seconds(5)
    /// After SIGTERM, what is unconfirmed then is sent again.
    static let drainTime = Duration.seconds(75)
    /// For how long nothing may be stored before a slot in danger is let go.
    static let standstillLimit = Duration.seconds(5)
    /// For how long a server that shuts down may end the stream by itself, while it is listened to.
    static let endingTime = Duration.seconds(2)
    /// Between two attempts to connect to a server that may be shutting down, while nothing is read.
    static let refusalInterval = Duration.milliseconds(250)
    /// Between two questions how far the server has written.
    static let serverEndInterval = Duration.milliseconds(500)

    private let configuration: StreamerConfiguration
    private let observations: Observations
    private let control: StopControl
    private let failpoints: Failpoints
    private let logger: Logger
    private let window: RetainedWindow
    private let delivery: Delivery

    private var replication: ReplicationConnection
    private var sql: SQLConnection
    private var isSQLLost = false
    private var decoder = PGOutputDecoder()
    private var assembler: TransactionAssembler
    private let columnRules: ColumnRules
    private var casts: JSONCasts
    /// Relations of which not all was shown when they were described, each with the transaction that may have changed it.
    private var provisional: [RelationID: TransactionID] = [:]
    /// How long the first thing that is not shown is waited for; none while transactions wait for a standby, which may be us.
    private var patience = Session.visibilityPatience
    private var uncastValueCount: UInt64 = 0
    /// Why rows of these relations must not be published.
    private var refusals: [RelationID: StreamerError] = [:]
    private var tracker: CheckpointTracker
    private var schedule: StandbyStatusSchedule
    private var announcedKindCount = 0
    private var frameCount = 0
    private var transactionCount: UInt64 = 0
    private var lastInspectionAt: Instant
    /// In this turn something came from the server.
    private var hasArrived = false
    /// Since the last look at the slot something came from the server.
    private var hasHeard = true
    /// `unreserved` or `lost`: the next checkpoint removes WAL that the slot needs.
    private var dangerousWALStatus: String?
    /// The window is full, and nothing has been released since.
    private var standstill: (releasedCount: UInt64, since: Instant)?
    private var wedgedSince: Instant?
    private var gate: KeepaliveGate
    private var lastServerEndAt: Instant?
    private var isImplausibleTold = false
    private var silence: SilenceWatch
    private var isSilenceTold = false
    /// The walsender that holds the slot for this session; nil: the server did not say.
    private let holderPID: Int32?
    /// The last look at the slot found it in other hands.
    private var isHolderGone = false
    private var refusedAt: Instant?
    /// Since when a server that shuts down has refused new connections.
    private var shuttingDownSince: Instant?
    private var isMoreBuffered = false
    /// Why the catalogue could not be asked while a row was being encoded.
    private var catalogueError: PostgresError?
    private var hasAsked = false
    /// Why a status could not be sent while the catalogue was asked.
    private var statusError: PostgresError?
    private var unknownTypeValueCount: UInt64 = 0
    private var strayAbortCount: UInt64 = 0
    private var poisonReport = PoisonReport()
    private var pace = ReadingPace(at: .now)
    private var progress: SlotProgress
    private let doubt: PublicationDoubt
    private let obstacles: ObstacleMemory
    private var publicationWatch = PublicationWatch(at: .now)

    init(
        _ configuration: StreamerConfiguration, replication: consuming ReplicationConnection,
        sql: consuming SQLConnection, assembler: consuming TransactionAssembler, columnRules: ColumnRules,
        window: RetainedWindow,
        delivery: Delivery, held: HeldSlot, doubt: PublicationDoubt, obstacles: ObstacleMemory, startLSN: LSN,
        confirmedLSN: LSN, serverEnd: LSN,
        observations: Observations, control: StopControl, failpoints: Failpoints, logger: Logger
    ) {
        self.configuration = configuration
        self.replication = replication
        self.sql = sql
        self.assembler = assembler
        self.columnRules = columnRules
        casts = JSONCasts(configuration.casts) { sentence in logger.warning("a cast to json is not used", metadata: ["what": "\(sentence)"]) }
        self.window = window
        self.delivery = delivery
        self.observations = observations
        self.control = control
        self.failpoints = failpoints
        self.logger = logger
        self.doubt = doubt
        self.obstacles = obstacles
        progress = SlotProgress(startLSN: startLSN)
        tracker = CheckpointTracker(confirmedLSN: confirmedLSN)
        // Three updates in every timeout that we asked for, at least one a second.
        let timeout = configuration.source.walSenderTimeoutMilliseconds ?? 3000
        schedule = StandbyStatusSchedule(
            startLSN: startLSN, interval: .milliseconds(timeout > 0 ? max(50, min(1000, timeout / 3)) : 1000))
        holderPID = held.pid
        gate = KeepaliveGate(serverEnd: serverEnd)
        silence = SilenceWatch(limit: configuration.source.silenceLimit, at: .now)
        lastInspectionAt = .now
        announcedKindCount = self.assembler.eventKinds.count
        observations.storedLSN.store(confirmedLSN.rawValue, ordering: .relaxed)
        self.assembler.authority = self
        self.sql.whileWaiting = statusesFlow
    }

    /// Streams until asked to stop; returns when everything received is stored and confirmed, or its time is over.
    func run() throws(StreamerError) {
        do throws(PostgresError) {
            try casts.prepare()
        } catch {
            throw .postgres(error)
        }
        try inspect()
        while !control.isRequested {
            try turn(isReading: true)
            wait(isReading: true)
        }
        try drain()
    }

    private func turn(isReading: Bool) throws(StreamerError) {
        observations.turned(.source)
        if let failure = delivery.failure.withLock({ $0 }) { throw failure }
        try requireLiveClient()
        // Looked at in every turn: what arrives unasked would otherwise keep the socket readable, and `wait` from waiting.
        if !isSQLLost, sql.waitForShutdownNotice(timeout: .zero) { isSQLLost = true }
        if isReading, hasRoom { try read() } else { heard() }
        try confirm()
        observations.retainedByteCount.store(window.byteCount, ordering: .relaxed)
        let now = Instant.now
        try requireAnswers(at: now)
        if gate.isHolding, lastServerEndAt.map({ now.duration(since: $0) >= Self.serverEndInterval }) ?? true {
            try askServerEnd(at: now)
        }
        if now.duration(since: lastInspectionAt) >= Self.inspectionInterval { try inspect() }
        if observations.hasAnswered(at: now) { FilePages.giveBack() }
        let isListening = isReading && hasRoom
        if isServerShuttingDown(whileListening: isListening, at: now) { throw .serverShuttingDown }
        guard !isListening else {
            standstill = nil
            return
        }
        // The checkpointer ends the walsender and waits for it; one that writes into a full socket does not hear that.
        if let status = dangerousWALStatus, isStandingStill(at: now) {
            throw .walHeldUp(slot: configuration.source.slot, status: status)
        }
    }

    /// Whether nothing has been stored for a while: a window that is full while acks come is a backlog's ordinary state.
    private func isStandingStill(at now: Instant) -> Bool {
        let releasedCount = window.releasedCount.load(ordering: .relaxed)
        guard let standstill, standstill.releasedCount == releasedCount else {
            self.standstill = (releasedCount, now)
            return false
        }
        return now.duration(since: standstill.since) >= Self.standstillLimit
    }

    /// libnats 3.4.1 spins with its lock held when a server falls silent in the middle of connecting; the delivery thread may be inside a call that waits for that lock.
    private func requireLiveClient() throws(StreamerError) {
        guard delivery.link.connection.isWedged else {
            wedgedSince = nil
            return
        }
        let since = wedgedSince ?? .now
        wedgedSince = since
        // After a pause of this process its probe has not had its turn yet.
        if Instant.now.duration(since: since) > Self.wedgeConfirmationTime {
            throw .jetStream(.wedged("it has been connecting to \(delivery.link.connection.connectedURL) without end"))
        }
    }

    private var hasRoom: Bool { window.hasRoom(for: assembler.openByteCount) }

    private func wait(isReading: Bool) {
        if isReading, isMoreBuffered, hasRoom { return }
        let timeout = min(schedule.timeUntilDue(at: .now), .seconds(1))
        var descriptors: [(descriptor: Int32, isOutputDue: Bool)] = []
        // A full window leaves the socket unread: what the server has sent stays with it.
        if isReading, hasRoom { descriptors.append((replication.socket, replication.hasUnsentOutput)) }
        if !isSQLLost { descriptors.append((sql.socket, false)) }
        control.wake.wait(for: descriptors, timeout: timeout)
    }

    // MARK: - Reading

    /// Reads; where that ends for good, what was received whole is stored and confirmed first.
    private func read() throws(StreamerError) {
        do throws(StreamerError) {
            try receive()
            // What it was about may be the last that came.
            try requireNoDoubt()
            try watchPublication(at: .now)
        } catch {
            throw ended(by: error)
        }
    }

    /// Reads what has arrived, and leaves the socket alone for as long as the pace says.
    private func receive() throws(StreamerError) {
        frameCount = 0
        hasArrived = false
        let outcome: ReceiveOutcome
        do throws(ReceiveError<StreamerError>) {
            outcome = try replication.receiveFrames(
                onXLogData: { (walStart, walEnd, sendTime, payload) throws(StreamerError) in
                    try self.requireNoDoubt()
                    return try self.received(payload, at: walStart, walEnd: walEnd, sendTime: sendTime)
                },
                onKeepalive: { (walEnd, _, isReplyRequested) throws(StreamerError) in
                    try self.requireNoDoubt()
                    self.hasArrived = true
                    self.schedule.keepalive(walEnd)
                    if let position = self.gate.received(walEnd, at: .now) { try self.decoded(upTo: position) }
                    if isReplyRequested { self.schedule.replyRequested() }
                    return .proceed
                })
        } catch {
            switch error {
            case .postgres(let error): throw .postgres(error)
            case .handler(let error): throw error
            }
        }
        delivery.wake()
        if frameCount > 0 { hasArrived = true }
        if hasArrived { heard() }
        let rest = pace.rest(afterFrames: frameCount, transactions: Int(transactionCount), at: .now)
        observations.receivedLSN.store(schedule.receivedLSN.rawValue, ordering: .relaxed)
        if transactionCount > 0 {
            observations.transactionCount.add(transactionCount, ordering: .relaxed)
            observations.meters.transactions.increment(by: Int64(transactionCount))
            transactionCount = 0
        }
        let unknownTypeValues = assembler.unknownTypeValueCount
        if unknownTypeValues > unknownTypeValueCount {
            observations.meters.unknownTypeValues.increment(by: Int64(unknownTypeValues - unknownTypeValueCount))
            unknownTypeValueCount = unknownTypeValues
        }
        let strayAborts = assembler.strayAbortCount
        if strayAborts > strayAbortCount {
            observations.meters.strayAborts.increment(by: Int64(strayAborts - strayAbortCount))
            strayAbortCount = strayAborts
        }
        let uncastValues = assembler.uncastValueCount
        if uncastValues > uncastValueCount {
            observations.meters.uncastValues.increment(by: Int64(uncastValues - uncastValueCount))
            uncastValueCount = uncastValues
        }
        poisonReport.tell(assembler.poison, to: observations, logger, at: .now)
        switch outcome {
        case .drained: isMoreBuffered = false
        case .stopped: isMoreBuffered = true
        case .ended: throw .serverShuttingDown
        }
        if rest > .zero { usleep(UInt32(rest / .microseconds(1))) }
    }

    private func decoded(upTo walEnd: LSN) throws(StreamerError) {
        do throws(CaptureError) {
            try assembler.decoded(upTo: walEnd)
        } catch {
            throw .capture(error)
        }
        progress.decoded(upTo: walEnd)
        if assembler.isHistoryProven { tracker.keepalive(walEnd: walEnd) }
        if !assembler.isInTransaction { handedOn(upTo: walEnd) }
    }

    /// All that commits before `lsn` was handed on.
    private func handedOn(upTo lsn: LSN) {
        if lsn.rawValue > delivery.decodedLSN.load(ordering: .relaxed) {
            delivery.decodedLSN.store(lsn.rawValue, ordering: .releasing)
        }
    }

    private func received(
        _ payload: borrowing RawSpan, at walStart: LSN, walEnd: LSN, sendTime: PostgresTimestamp
    ) throws(StreamerError) -> FrameContinuation {
        let message: PGOutputMessage
        do throws(PGOutputError) {
            message = try decoder.decode(payload)
        } catch {
            throw .decoding(error, at: walStart)
        }
        switch message {
        case .relation(let relation): try describe(relation, of: assembler.currentTransactionID)
        case .begin where !provisional.isEmpty: try describeProvisional()
        default: break
        }
        let action: TransactionAssembler.Action
        do throws(CaptureError) {
            var sink = window
            action = try assembler.receive(message, of: decoder, bytes: payload, sendTime: sendTime, into: &sink)
        } catch {
            switch error {
            case .catalogueUnavailable: throw catalogueError.map { .postgres($0) } ?? .capture(error)
            case .relationRefused(let id, _): throw refusals[id] ?? .capture(error)
            default: throw .capture(error)
            }
        }
        progress.received(message)
        failpoints.reached(.reading)
        let appendedCount = window.appendedCount.load(ordering: .relaxed)
        switch action {
        case .none: tracker.appended(count: appendedCount)
        case .transactionBegan: tracker.transactionBegan()
        case .transactionEnded(let endLSN):
            // What comes before the proof is skipped, and was perhaps never stored.
            tracker.transactionEnded(
                endLSN: assembler.isHistoryProven ? endLSN : .invalid, appendedCount: appendedCount)
            transactionCount += 1
            schedule.received(endLSN)
            handedOn(upTo: endLSN)
        }
        schedule.received(walEnd)
        announceKinds()
        frameCount += 1
        if hasAsked {
            hasAsked = false
            return .stop
        }
        // What took long to receive is followed by a status.
        guard payload.byteCount < Self.largeMessageByteCount else { return .stop }
        return hasRoom && frameCount < Self.frameLimit ? .proceed : .stop
    }

    private func describe(_ relation: Relation, of transactionID: TransactionID) throws(StreamerError) {
        // Questions may take a while: statuses come before the next message.
        hasAsked = true
        var view = CatalogueView.whole
        do throws(PostgresError) {
            if isSQLLost { try reconnectSQL() }
            let isCertain = try CatalogueReader.describe(
                relation, of: transactionID, named: casts.named, patience: patience, for: &assembler, over: sql)
            provisional[relation.id] = isCertain ? nil : transactionID
            patience = isCertain ? Self.visibilityPatience : .zero
            if !columnRules.isEmpty { view = try CatalogueView.of(transactionID, over: sql) }
        } catch {
            isSQLLost = true
            throw .postgres(error)
        }
        for name in assembler.types.withheldCasts { casts.withheld(name) }
        refusals[relation.id] = try columnRules.refusal(of: relation, in: view, sql: sql)
        if refusals[relation.id] != nil { assembler.refusedRelations.insert(relation.id) }
        try reviewPlans()
    }

    /// Describes again what is shown by now. A transaction that uses what another has made or changed began its work on it when that was shown: at its
    /// Begin it is.
    private func describeProvisional() throws(StreamerError) {
        hasAsked = true
        for (id, transactionID) in provisional {
            do throws(PostgresError) {
                if isSQLLost { try reconnectSQL() }
                guard try CatalogueView.isShown(transactionID, over: sql) else { continue }
            } catch {
                isSQLLost = true
                throw .postgres(error)
            }
            provisional[id] = nil
            guard let relation = assembler.description(of: id) else { continue }
            try describe(relation, of: transactionID)
            assembler.describeAgain(relation)
        }
    }

    /// Lets go of what is kept of tables that were dropped.
    private func reviewPlans() throws(StreamerError) {
        let relations = assembler.relationsDueForReview
        guard !relations.isEmpty else { return }
        do throws(PostgresError) {
            let gone = try CatalogueReader.gone(among: relations, over: sql)
            assembler.reviewed(gone: gone.relations, asOf: gone.asOf)
            for id in gone.relations { refusals[id] = nil }
        } catch {
            isSQLLost = true
            throw .postgres(error)
        }
    }

    /// Asks over the ordinary connection, which is made anew if it was lost; nil, with `catalogueError` set, if that fails.
    fileprivate func ask<Answer>(
        _ question: (borrowing SQLConnection) throws(PostgresError) -> Answer
    ) -> Answer? {
        hasAsked = true
        do throws(PostgresError) {
            if isSQLLost { try reconnectSQL() }
            return try question(sql)
        } catch {
            isSQLLost = true
            catalogueError = error
            return nil
        }
    }

    private func announceKinds() {
        guard assembler.eventKinds.count > announcedKindCount else { return }
        announcedKindCount = assembler.eventKinds.count
        let kinds = assembler.eventKinds
        observations.texts.withLock { $0.eventKinds = kinds }
    }

    // MARK: - What the server cannot send

    /// From PostgreSQL 18 on a publication that is not found only makes it warn, and skip.
    private func requireNoDoubt() throws(StreamerError) {
        guard doubt.isRaised else { return }
        guard let state = publicationState() else { throw catalogueError.map { .postgres($0) } ?? .cancelled }
        guard state.isOlderThanSlot else {
            throw SlotObstacle(.publicationMissing, progress).stop(configuration.source)
        }
        doubt.dismiss()
    }

    private func publicationState() -> PublicationState? {
        ask { (sql) throws(PostgresError) in
            try PublicationState.read(configuration.source, over: sql, timeout: CatalogueReader.timeout)
        }
    }

    /// Stops where the publication has gone, once all is decoded that was written while it was there.
    private func watchPublication(at now: Instant) throws(StreamerError) {
        if publicationWatch.isDue(at: now) { publicationWatch.looked(publicationState(), at: now) }
        guard publicationWatch.isOver(decodedUpTo: progress.endLSN) else { return }
        throw Setup.missingPublication(
            configuration.source, state: "everything that commits before \(progress.endLSN) was sent")
    }

    /// What is told of an error that ended the reading. Where it comes again however often it is tried, all that came whole before it is stored and confirmed first.
    private func ended(by error: StreamerError) -> StreamerError {
        var told = error
        var isServerListening = true
        var isObstacle = false
        if case .postgres(let refusal) = error {
            isServerListening = false
            if let obstacle = obstacle(refusal) {
                isObstacle = true
                if obstacles.isBelieved(obstacle) { told = obstacle.stop(configuration.source) }
            }
        }
        var isEnd = false
        if case .stop(let reason, _) = FailurePolicy.verdict(on: told) { isEnd = reason != .historyDiverged }
        if isEnd || isObstacle, assembler.isHistoryProven, delivery.mending == nil {
            settle(isServerListening: isServerListening)
        }
        return told
    }

    private func obstacle(_ error: PostgresError) -> SlotObstacle? {
        guard case .server = error else { return nil }
        guard !error.isUndefinedObject else {
            guard let state = publicationState() else { return nil }
            return SlotObstacle(error, progress, isPublicationSure: state.isOlderThanSlot)
        }
        return SlotObstacle(error, progress, isPublicationSure: true)
    }

    /// Reads nothing more, and has what came whole stored, recorded and confirmed.
    private func settle(isServerListening: Bool) {
        logger.notice("waiting for acks of what came before", metadata: ["retained": "\(window.retainedCount)"])
        delivery.isDraining.store(true, ordering: .releasing)
        delivery.wake()
        let deadline = Instant.now + Self.drainTime
        do throws(StreamerError) {
            while Instant.now < deadline {
                if isServerListening {
                    try turn(isReading: false)
                } else {
                    try keepDelivering()
                }
                if isSettled(isServerListening) { break }
                if isServerListening {
                    wait(isReading: false)
                } else {
                    control.wake.wait(timeout: .seconds(1))
                }
            }
            if !isServerListening { confirmWithoutStream() }
        } catch {
            logger.warning("what came before is not known to be stored", metadata: ["error": "\(error)"])
        }
    }

    /// What a turn does for the other thread.
    private func keepDelivering() throws(StreamerError) {
        observations.turned(.source)
        if let failure = delivery.failure.withLock({ $0 }) { throw failure }
        try requireLiveClient()
        makeConfirmable()
    }

    /// The walsender has ended: the slot is moved as anybody could move it, to what the record says.
    private func confirmWithoutStream() {
        let recorded = LSN(delivery.recordedLSN.load(ordering: .acquiring))
        guard recorded > LSN(observations.confirmedLSN.load(ordering: .relaxed)) else { return }
        let deadline = Instant.now + CatalogueReader.timeout
        while Instant.now < deadline {
            let lsn = ask { (sql) throws(PostgresError) in
                try sql.advanceSlot(configuration.source.slot, to: recorded, timeout: CatalogueReader.timeout)
            }
            if let lsn {
                observations.confirmedLSN.store(lsn.rawValue, ordering: .relaxed)
                return
            }
            // The server has told us of its error before it lets go of the slot.
            guard catalogueError?.isObjectInUse == true else { return }
            control.wake.wait(timeout: .milliseconds(50))
        }
    }

    // MARK: - Confirming

    /// Hands on what may be recorded by now.
    private func makeConfirmable() {
        tracker.stored(count: window.releasedCount.load(ordering: .acquiring))
        let confirmable = tracker.confirmableLSN
        guard confirmable.rawValue > delivery.confirmableLSN.load(ordering: .relaxed) else { return }
        delivery.confirmableLSN.store(confirmable.rawValue, ordering: .releasing)
        observations.storedLSN.store(confirmable.rawValue, ordering: .relaxed)
        delivery.wake()
    }

    /// Whether all that can be stored is stored, recorded, and, while the server listens, confirmed.
    private func isSettled(_ isServerListening: Bool) -> Bool {
        delivery.isAllStored && !delivery.isRecordUnsettled
            && (!isServerListening || (schedule.confirmedLSN >= tracker.confirmableLSN && !replication.hasUnsentOutput))
    }

    private func confirm() throws(StreamerError) {
        makeConfirmable()
        if let statusError { throw .postgres(statusError) }
        do throws(PostgresError) {
            try sendDueStatus()
        } catch {
            throw .postgres(error)
        }
    }

    /// Confirms nothing that was not settled: it may be called in the middle of a message.
    private func sendDueStatus() throws(PostgresError) {
        // A status that waits for the socket is not overtaken: it may be the one that confirms.
        if replication.hasUnsentOutput { try replication.flush() }
        if replication.hasUnsentOutput { return }
        let recorded = LSN(delivery.recordedLSN.load(ordering: .acquiring))
        guard let status = schedule.due(at: .now, recordedLSN: recorded) else { return }
        let isConfirming = status.flushedLSN > .invalid
        if isConfirming { failpoints.reached(.beforeStatus) }
        try replication.sendStandbyStatus(
            written: status.writtenLSN, flushed: status.flushedLSN, applied: status.flushedLSN,
            replyRequested: silence.takeQuestion(at: .now))
        if isConfirming { failpoints.reached(.afterStatus) }
        observations.confirmedLSN.store(schedule.confirmedLSN.rawValue, ordering: .relaxed)
    }

    /// However long the catalogue takes for its answers, one after another, the walsender hears of us: otherwise it would end the session, and
    /// the next one would ask all of it again.
    private var statusesFlow: () -> Void {
        // The connection is this session's, and goes before it.
        { [unowned self] in
            observations.turned(.source)
            guard statusError == nil else { return }
            do throws(PostgresError) {
                try sendDueStatus()
            } catch {
                statusError = error
            }
        }
    }

    /// Reads nothing more, waits for the acks of what was handed on, confirms it.
    private func drain() throws(StreamerError) {
        logger.notice("stopping: waiting for acks", metadata: ["retained": "\(window.retainedCount)"])
        delivery.isDraining.store(true, ordering: .releasing)
        delivery.wake()
        let deadline = Instant.now + Self.drainTime
        while Instant.now < deadline {
            try turn(isReading: false)
            if isSettled(true) {
                logger.notice(
                    "stopped: all that was received is stored and confirmed",
                    metadata: ["confirmed_lsn": "\(schedule.confirmedLSN)"])
                return
            }
            if delivery.isAllStored, !delivery.link.connection.isConnected {
                logger.notice(
                    "stopped: all that was received is stored; without NATS no more can be confirmed",
                    metadata: ["confirmed_lsn": "\(schedule.confirmedLSN)"])
                return
            }
            wait(isReading: false)
        }
        logger.warning(
            "stopped with events that are not known to be stored: they are sent again at the next start",
            metadata: ["retained": "\(window.retainedCount)", "confirmed_lsn": "\(schedule.confirmedLSN)"])
    }

    // MARK: - The ordinary connection

    /// Reads how PostgreSQL sees the slot. What cannot be read now stays as it was; a server from which nothing has come meanwhile either is not connected to.
    private func inspect() throws(StreamerError) {
        lastInspectionAt = .now
        // Before, so that what it needs does not come on top of what has gathered since the last; the first time, all of the start's.
        FilePages.giveBack()
        defer {
            hasHeard = false
            FilePages.giveBack()
        }
        let slot: SlotState
        do throws(PostgresError) {
            if isSQLLost { try reconnectSQL() }
            guard let found = try sql.slot(named: configuration.source.slot, timeout: CatalogueReader.timeout) else { return }
            slot = found
            delivery.serverLSN.store(found.currentWALLSN.rawValue, ordering: .releasing)
            delivery.inspectionCount.add(1, ordering: .acquiringAndReleasing)
            dangerousWALStatus = found.walStatus.flatMap { ["unreserved", "lost"].contains($0) ? $0 : nil }
            observations.texts.withLock { texts in
                texts.isPostgresConnected = true
                texts.plugin = found.plugin
                texts.walStatus = found.walStatus
                texts.retainedBytes = found.retainedByteCount
                texts.safeBytes = found.safeWALByteCount
                texts.serverLSN = found.currentWALLSN
            }
        } catch {
            isSQLLost = true
            if !hasHeard { observations.texts.withLock { $0.isPostgresConnected = false } }
            logger.debug("cannot inspect the slot", metadata: ["error": "\(error)"])
            return
        }
        if let position = gate.serverWrote(upTo: slot.currentWALLSN) { try decoded(upTo: position) }
        try requireHeld(slot)
    }

    /// Ends a session whose connection only seems to stand: the server has let its walsender go.
    private func requireHeld(_ slot: SlotState) throws(StreamerError) {
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
                    "PostgreSQL says that its walsender \(holderPID) no longer holds slot \(slot.name), though this connection to it stands"))
    }

    /// Asks how far the server has written, on which a keepalive's position waits.
    private func askServerEnd(at now: Instant) throws(StreamerError) {
        lastServerEndAt = now
        // When it can be had again is `inspect`'s to find out.
        guard !isSQLLost else { return }
        let end: LSN
        do throws(PostgresError) {
            end = try sql.currentWALLSN(timeout: CatalogueReader.timeout)
        } catch {
            isSQLLost = true
            return
        }
        if let position = gate.serverWrote(upTo: end) { try decoded(upTo: position) }
        guard !isImplausibleTold, let position = gate.implausible(at: now) else { return }
        isImplausibleTold = true
        logger.warning(
            "a keepalive names a position beyond PostgreSQL's WAL, which is not confirmed: something between the servers damages what they say",
            metadata: ["position": "\(position)", "wal_end": "\(end)"])
    }

    // MARK: - A walsender that says nothing

    /// Something came from the walsender, or what it says is left unread.
    private func heard() {
        silence.heard(at: .now)
        guard isSilenceTold else { return }
        isSilenceTold = false
        observations.texts.withLock { $0.isWalsenderSilent = false }
        logger.notice("PostgreSQL's walsender is heard again")
    }

    private func requireAnswers(at now: Instant) throws(StreamerError) {
        switch silence.verdict(at: now) {
        case .fine: return
        case .silent(let time):
            guard !isSilenceTold else { return }
            isSilenceTold = true
            observations.texts.withLock { $0.isWalsenderSilent = true }
            logger.warning(
                "PostgreSQL's walsender does not answer: it decodes for long, or it or the way to it hangs",
                metadata: [
                    "pid": "\(holderPID.map { String($0) } ?? "unknown")", "silent_s": "\(Int(time.seconds))",
                    "given_up_after_s": "\(Int(configuration.source.silenceLimit.seconds))",
                ])
        case .over(let time):
            throw .postgres(
                .connectionLost(message: "the walsender has answered nothing for \(Int(time.seconds)) s (source.silence_limit)"))
        }
    }

    private func reconnectSQL() throws(PostgresError) {
        sql = try SQLConnection(
            configuration.source.connection, timeout: CatalogueReader.timeout, isReadOnly: true,
            onNotice: Streamer.noticeHandler(logger), whileWaiting: statusesFlow)
        isSQLLost = false
    }

    /// A fast shutdown ends ordinary sessions first and takes no new ones; then it waits until its walsenders have sent all and their clients have heard it.
    ///
    /// To one that is listened to it gives the time to end by itself: behind a backlog, or in a long decoding, that would be as long as that takes.
    private func isServerShuttingDown(whileListening isListening: Bool, at now: Instant) -> Bool {
        guard isSQLLost else {
            shuttingDownSince = nil
            refusedAt = nil
            return false
        }
        if let shuttingDownSince { return !isListening || now.duration(since: shuttingDownSince) >= Self.endingTime }
        let interval = isListening ? Self.inspectionInterval : Self.refusalInterval
        if let refusedAt, now.duration(since: refusedAt) < interval { return false }
        refusedAt = now
        do throws(PostgresError) {
            try reconnectSQL()
            return false
        } catch {
            if error.isShuttingDown { shuttingDownSince = now }
            return !isListening && (error.isShuttingDown || error.isUnreachable)
        }
    }
}

extension Session: CatalogueAuthority {
    func json(of text: String, castFrom typeOID: UInt32) -> CastAnswer {
        ask { (sql) throws(PostgresError) in
            try casts.json(of: text, castFrom: typeOID, over: sql)
        } ?? .unavailable
    }

    func refresh(
        _ types: inout TypeCatalogue, of transactionID: TransactionID, for relationID: RelationID, _ typeOIDs: [UInt32]
    ) -> Bool {
        var refreshed = types
        refreshed.forget(typeOIDs)
        let isCertain = ask { (sql) throws(PostgresError) in
            let view = try CatalogueView.of(transactionID, over: sql)
            return try CatalogueReader.refresh(&refreshed, for: typeOIDs, in: view, named: casts.named, over: sql)
        }
        types = refreshed
        if isCertain == false { provisional[relationID] = transactionID }
        return isCertain != nil
    }
}

extension PostgresError {
    /// No server answered.
    var isUnreachable: Bool {
        switch self {
        case .connectionFailed(_, nil), .connectionLost: true
        case .connectionFailed, .server, .walRemoved, .protocolViolation, .timedOut: false
        }
    }
}
