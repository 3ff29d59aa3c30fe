import Capture
import CoreMetrics
import JetStreamPublishing
import Logging
import PGOutput
import PostgresReplication
import Synchronization
import Threads
import WAL

/// One replication connection's life, from START_REPLICATION on: reads, assembles, hands on, confirms. It belongs to one thread, which never waits for NATS.
final class Session<Port: SlotPort, Server: SlotServer> {
    /// Statuses come before what follows a message of this size.
    static var largeMessageByteCount: Int { 1024 * 1024 }
    /// A libnats that holds its lock is believed to be stuck after this long more.
    static var wedgeConfirmationTime: Duration { .seconds(5) }
    /// After SIGTERM, what is unconfirmed then is sent again.
    static var drainTime: Duration { LongTime.drain.duration }
    /// For how long nothing may be stored before a slot in danger is let go.
    static var standstillLimit: Duration { .seconds(5) }
    /// For how long a server that shuts down may end the stream by itself, while it is listened to.
    static var endingTime: Duration { .seconds(2) }
    /// Between two attempts to connect to a server that may be shutting down, while nothing is read.
    static var refusalInterval: Duration { .milliseconds(250) }
    /// Between two questions how far the server has written.
    static var serverEndInterval: Duration { .milliseconds(500) }

    let configuration: StreamerConfiguration
    let observations: Observations
    let control: StopControl
    let failpoints: Failpoints
    let logger: Logger
    let window: RetainedWindow
    let delivery: Handover
    /// Nothing is told of tables or confirmed of obstacles: the events are compared.
    let isMending: Bool

    let port: Port
    let server: Server
    var decoder = PGOutputDecoder()
    var assembler: TransactionAssembler
    var uncastValueCount: UInt64 = 0
    /// Why rows of these relations must not be published.
    var refusals: [RelationID: StreamerError] = [:]
    var tracker: CheckpointTracker
    var schedule: StandbyStatusSchedule
    var announcedKindCount = 0
    var frameCount = 0
    var transactionCount: UInt64 = 0
    var lastInspectionAt: Instant
    /// In this turn something came from the server.
    var hasArrived = false
    /// Since the last look at the slot something came from the server.
    var hasHeard = true
    /// `unreserved` or `lost`: the next checkpoint removes WAL that the slot needs.
    var dangerousWALStatus: String?
    /// The window is full, and nothing has been released since.
    var standstill: (releasedCount: UInt64, since: Instant)?
    var wedgedSince: Instant?
    var gate: KeepaliveGate
    var lastServerEndAt: Instant?
    var isImplausibleTold = false
    var silence: SilenceWatch
    var isSilenceTold = false
    /// The walsender that holds the slot for this session; nil: the server did not say.
    let holderPID: Int32?
    /// The last look at the slot found it in other hands.
    var isHolderGone = false
    var refusedAt: Instant?
    /// Since when a server that shuts down has refused new connections.
    var shuttingDownSince: Instant?
    var isMoreBuffered = false
    /// Why a status could not be sent while the catalogue was asked.
    var statusError: PostgresError?
    var unknownTypeValueCount: UInt64 = 0
    var strayAbortCount: UInt64 = 0
    var poisonReport = PoisonReport()
    var pace: ReadingPace
    var progress: SlotProgress
    let doubt: PublicationDoubt
    let obstacles: ObstacleMemory
    var publicationWatch: PublicationWatch
    var tableWatch: TableWatch
    var backlog: Backlog
    /// A line for each transaction costs more than the transaction: asked once.
    let isTracing: Bool

    init(
        _ configuration: StreamerConfiguration, port: Port, server: Server, assembler: consuming TransactionAssembler,
        window: RetainedWindow,
        delivery: Handover, isMending: Bool, held: HeldSlot, doubt: PublicationDoubt, obstacles: ObstacleMemory, startLSN: LSN,
        confirmedLSN: LSN, serverEnd: LSN,
        observations: Observations, control: StopControl, failpoints: Failpoints, logger: Logger
    ) {
        self.configuration = configuration
        self.port = port
        self.server = server
        self.assembler = assembler
        self.window = window
        self.delivery = delivery
        self.isMending = isMending
        self.observations = observations
        self.control = control
        self.failpoints = failpoints
        self.logger = logger
        self.doubt = doubt
        self.obstacles = obstacles
        isTracing = logger.logLevel <= .trace
        let now = port.now
        pace = ReadingPace(at: now)
        publicationWatch = PublicationWatch(at: now)
        tableWatch = TableWatch(at: now)
        backlog = Backlog(
            from: confirmedLSN, to: serverEnd, eventCount: observations.eventCount.load(ordering: .relaxed), at: now)
        progress = SlotProgress(startLSN: startLSN)
        tracker = CheckpointTracker(confirmedLSN: confirmedLSN)
        // Three updates in every timeout that we asked for, at least one a second.
        let timeout = configuration.source.walSenderTimeoutMilliseconds ?? 3000
        schedule = StandbyStatusSchedule(
            startLSN: startLSN, interval: .milliseconds(timeout > 0 ? max(50, min(1000, timeout / 3)) : 1000))
        holderPID = held.pid
        gate = KeepaliveGate(serverEnd: serverEnd)
        silence = SilenceWatch(limit: configuration.source.silenceLimit, at: now)
        lastInspectionAt = now
        announcedKindCount = self.assembler.eventKinds.count
        observations.storedLSN.store(confirmedLSN.rawValue, ordering: .relaxed)
        self.assembler.authority = server
        server.whileWaiting = statusesFlow
    }

    /// Streams until asked to stop; returns when everything received is stored and confirmed, or its time is over.
    func run() throws(StreamerError) {
        do throws(PostgresError) {
            try server.prepare()
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

    func turn(isReading: Bool) throws(StreamerError) {
        observations.turned(.source)
        if let failure = delivery.failure.withLock({ $0 }) { throw failure }
        try requireLiveClient()
        // Looked at in every turn: what arrives unasked would otherwise keep the socket readable, and `wait` from waiting.
        server.look()
        if isReading, hasRoom { try read() } else { heard() }
        try confirm()
        observations.retainedByteCount.store(window.byteCount, ordering: .relaxed)
        let now = port.now
        try requireAnswers(at: now)
        if gate.isHolding, lastServerEndAt.map({ now.duration(since: $0) >= Self.serverEndInterval }) ?? true {
            try askServerEnd(at: now)
        }
        let isListening = isReading && hasRoom
        var isRestored = false
        if server.isLost {
            isRestored = try restoreServer(whileListening: isListening, at: now)
        } else {
            refusedAt = nil
            shuttingDownSince = nil
        }
        if isRestored || now.duration(since: lastInspectionAt) >= SlotLook.interval { try inspect() }
        lookAtTables(at: now)
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
    func isStandingStill(at now: Instant) -> Bool {
        let releasedCount = window.releasedCount.load(ordering: .relaxed)
        guard let standstill, standstill.releasedCount == releasedCount else {
            self.standstill = (releasedCount, now)
            return false
        }
        return now.duration(since: standstill.since) >= Self.standstillLimit
    }

    /// libnats 3.4.1 spins with its lock held when a server falls silent in the middle of connecting; the delivery thread may be inside a call that waits for that lock.
    func requireLiveClient() throws(StreamerError) {
        guard let place = delivery.connection.wedgedAt() else {
            wedgedSince = nil
            return
        }
        let now = port.now
        let since = wedgedSince ?? now
        wedgedSince = since
        // After a pause of this process its probe has not had its turn yet.
        if now.duration(since: since) > Self.wedgeConfirmationTime {
            throw .jetStream(.wedged("connecting to \(place) does not end"))
        }
    }

    var hasRoom: Bool { window.hasRoom(for: assembler.openByteCount) }

    func wait(isReading: Bool) {
        if isReading, isMoreBuffered, hasRoom { return }
        // A connection that is being made tells nobody when it is there.
        let timeout = min(
            schedule.timeUntilDue(at: port.now), server.isConnecting ? OrdinaryConnection.reconnectionLookInterval : .seconds(1))
        // A full window leaves the socket unread: what the server has sent stays with it.
        port.wait(isListening: isReading && hasRoom, orFor: server.socket, timeout: timeout)
    }

    // MARK: - Reading

    /// Reads; where that ends for good, what was received whole is stored and confirmed first.
    func read() throws(StreamerError) {
        do throws(StreamerError) {
            try receive()
            // What it was about may be the last that came.
            try requireNoDoubt()
            try watchPublication(at: port.now)
        } catch {
            throw ended(by: error)
        }
    }

    /// Reads what has arrived, and leaves the socket alone for as long as the pace says.
    func receive() throws(StreamerError) {
        frameCount = 0
        hasArrived = false
        let outcome: ReceiveOutcome
        do throws(ReceiveError<StreamerError>) {
            outcome = try port.receiveFrames(
                onXLogData: { (walStart, walEnd, sendTime, payload) throws(StreamerError) in
                    try self.requireNoDoubt()
                    return try self.received(payload, at: walStart, walEnd: walEnd, sendTime: sendTime)
                },
                onKeepalive: { (walEnd, _, isReplyRequested) throws(StreamerError) in
                    try self.requireNoDoubt()
                    self.hasArrived = true
                    self.schedule.keepalive(walEnd)
                    if self.isTracing { self.logger.trace("keepalive from PostgreSQL", metadata: ["wal_end": "\(walEnd)"]) }
                    if let position = self.gate.received(walEnd, at: self.port.now) { try self.decoded(upTo: position) }
                    if isReplyRequested { self.schedule.replyRequested() }
                    return .proceed
                })
        } catch {
            switch error {
            case .postgres(let error): throw .postgres(error)
            case .handler(let error): throw error
            }
        }
        delivery.wakePublisher()
        if frameCount > 0 { hasArrived = true }
        if hasArrived { heard() }
        let rest = pace.rest(afterFrames: frameCount, transactions: Int(transactionCount), at: port.now)
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
        poisonReport.tell(assembler.poison, to: observations, logger, at: port.now)
        switch outcome {
        case .drained: isMoreBuffered = false
        case .stopped: isMoreBuffered = true
        case .ended: throw .serverShuttingDown
        }
        if rest > .zero { port.rest(rest) }
    }

    func decoded(upTo walEnd: LSN) throws(StreamerError) {
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
    func handedOn(upTo lsn: LSN) {
        if lsn.rawValue > delivery.decodedLSN.load(ordering: .relaxed) {
            delivery.decodedLSN.store(lsn.rawValue, ordering: .releasing)
        }
    }

    func received(
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
        case .begin where server.hasProvisional: try describeProvisional()
        default: break
        }
        let action: TransactionAssembler.Action
        do throws(CaptureError) {
            var sink = window
            action = try assembler.receive(message, of: decoder, bytes: payload, sendTime: sendTime, into: &sink)
        } catch {
            switch error {
            case .catalogueUnavailable: throw server.questionError.map { .postgres($0) } ?? .capture(error)
            case .relationRefused(let id, _): throw refusals[id] ?? .capture(error)
            default: throw .capture(error)
            }
        }
        if isTracing { trace(message) }
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
        if server.takeHasAsked() { return .stop }
        // What took long to receive is followed by a status.
        guard payload.byteCount < Self.largeMessageByteCount else { return .stop }
        return hasRoom && frameCount < ReadingPace.frameLimit ? .proceed : .stop
    }

    func announceKinds() {
        guard assembler.eventKinds.count > announcedKindCount else { return }
        announcedKindCount = assembler.eventKinds.count
        let kinds = assembler.eventKinds
        observations.texts.withLock { $0.eventKinds = kinds }
    }
}
