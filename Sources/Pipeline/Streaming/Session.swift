import Capture
import CoreMetrics
package import History
import JetStreamPublishing
package import Logging
import PostgresReplication
import Synchronization
package import Threads
package import WAL

/// One replication connection's life, from START_REPLICATION on: what a `ChangeReader` reads is handed on, and confirmed. It belongs to one thread, which never waits for NATS.
package final class Session<Port: SlotPort, Server: SlotServer, Catalogue: CataloguePort> {
    /// A libnats that holds its lock is believed to be stuck after this long more.
    static var wedgeConfirmationTime: Duration { .seconds(5) }
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
    /// Only what commits before it is read, and then the session ends; nil: there is no end.
    let end: LSN?
    /// All up to `end` was read.
    var isAtEnd = false
    /// Once all that commits before it was read, the session ends as if it were asked to stop; nil: it does not.
    let goal: LSN?

    let port: Port
    let server: Server
    let reader: ChangeReader<Port, Catalogue>
    var uncastValueCount: UInt64 = 0
    var tracker: CheckpointTracker
    var schedule: StandbyStatusSchedule
    var announcedKindCount = 0
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
    /// Nothing is read before the catalogue has answered.
    var isAsking = false
    /// Why a status could not be sent while the catalogue was asked.
    var statusError: PostgresError?
    var unknownTypeValueCount: UInt64 = 0
    var strayAbortCount: UInt64 = 0
    var poisonReport = PoisonReport()
    var pace: ReadingPace
    /// Puts rows of backfills between transactions; nil: nobody reads any.
    private(set) var backfill: BackfillPlacer?
    /// All that commits before it was handed on, or is known to be nothing.
    var provenLSN = LSN.invalid
    var lastProofQuestionAt: Instant?
    /// As the window counted when rows were put in last.
    var placedCount: UInt64 = 0
    let doubt: PublicationDoubt
    let obstacles: ObstacleMemory
    var publicationWatch: PublicationWatch
    var tableWatch: TableWatch
    var backlog: Backlog
    /// A line for each transaction costs more than the transaction: asked once.
    let isTracing: Bool

    package init(
        _ configuration: StreamerConfiguration, server: Server, reader: ChangeReader<Port, Catalogue>, window: RetainedWindow,
        delivery: Handover, isMending: Bool, end: LSN? = nil, goal: LSN? = nil, held: HeldSlot, doubt: PublicationDoubt, obstacles: ObstacleMemory, confirmedLSN: LSN, serverEnd: LSN,
        observations: Observations, control: StopControl, failpoints: Failpoints, logger: Logger
    ) {
        self.configuration = configuration
        port = reader.port
        self.server = server
        self.reader = reader
        self.window = window
        self.delivery = delivery
        self.isMending = isMending
        self.end = end
        self.goal = goal
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
        tracker = CheckpointTracker(confirmedLSN: confirmedLSN)
        // Three updates in every timeout that we asked for, at least one a second.
        let timeout = configuration.source.walSenderTimeoutMilliseconds ?? 3000
        schedule = StandbyStatusSchedule(
            startLSN: reader.progress.endLSN, interval: .milliseconds(timeout > 0 ? max(50, min(1000, timeout / 3)) : 1000))
        holderPID = held.pid
        gate = KeepaliveGate(serverEnd: serverEnd)
        silence = SilenceWatch(limit: configuration.source.silenceLimit, at: now)
        lastInspectionAt = now
        announcedKindCount = reader.assembler.eventKinds.count
        observations.storedLSN.store(confirmedLSN.rawValue, ordering: .relaxed)
        server.whileWaiting = statusesFlow
    }

    /// Before it runs: rows of backfills are put in by `placer`.
    func place(by placer: BackfillPlacer) {
        backfill = placer
        reader.watch(by: placer)
    }

    /// Streams until asked to stop, or until its end or goal; returns when everything received is stored and confirmed, or its time is over.
    package func run() throws(StreamerError) {
        try inspect()
        while !control.isRequested, goal.map({ reader.progress.endLSN < $0 }) ?? true {
            try turn(isReading: !isAtEnd)
            if isAtEnd, isSettled(true) { return }
            wait(isReading: !isAtEnd)
        }
        try drain()
    }

    func turn(isReading: Bool) throws(StreamerError) {
        observations.turned(.source)
        if let failure = delivery.failure.withLock({ $0 }) { throw failure }
        try requireLiveClient()
        // Looked at in every turn: what arrives unasked would otherwise keep the socket readable, and `wait` from waiting.
        server.look()
        if isReading { placeRows() }
        if isReading, hasRoom, backfill?.isHolding != true { try read() } else { heard() }
        try confirm()
        observations.retainedByteCount.store(window.byteCount, ordering: .relaxed)
        let now = port.now
        try requireAnswers(at: now)
        let isAwaited = isReading ? try askForProof(at: now) : false
        let serverEndInterval = isAwaited ? Self.proofInterval : Self.serverEndInterval
        if gate.isHolding, lastServerEndAt.map({ now.duration(since: $0) >= serverEndInterval }) ?? true {
            try askServerEnd(at: now)
        }
        let isListening = isReading && hasRoom && backfill?.isHolding != true
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

    var hasRoom: Bool { window.hasRoom(for: reader.assembler.openByteCount) }

    func wait(isReading: Bool) {
        let isListening = isReading && hasRoom && backfill?.isHolding != true
        if isListening, isMoreBuffered { return }
        // A connection that is being made tells nobody when it is there; nor does a server that has nothing to send how far it has come.
        let timeout = min(
            schedule.timeUntilDue(at: port.now), server.isConnecting ? OrdinaryConnection.reconnectionLookInterval : .seconds(1),
            isReading ? timeUntilRowsAreDue : .seconds(1))
        // A full window leaves the socket unread: what the server has sent stays with it.
        port.wait(isListening: isListening && !isAsking, orFor: server.socket, timeout: timeout)
    }
}
