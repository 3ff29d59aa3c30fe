import Capture
package import History
import JetStreamPublishing
package import Logging
import Metrics
import PostgresReplication
import Synchronization
package import Threads
import WAL

/// Streams a slot to its stream until told to stop: connects, recovers, streams, and begins again whenever retrying can help.
///
/// `run()` blocks: give it a thread of its own.
package final class Streamer: Sendable {
    /// How a run ended.
    package struct Outcome: Sendable, Equatable {
        /// nil: stopped in order.
        package var reason: StopReason?
        package var message: String
        /// What to do about it; empty: nothing.
        package var remedy = ""
        package var status: ExitStatus
    }

    /// While another streamer holds the slot it is looked at this often.
    static let standbyInterval = Duration.milliseconds(500)

    /// For connecting to PostgreSQL, and for each command before streaming: below the liveness limit.
    static let connectTimeout = Duration.seconds(10)

    /// What comes after a stop that only a person can mend.
    package enum OnStop: Sendable {
        case exit
        /// It stays, and looks again now and then whether somebody has mended the cause. It is handed each new stop.
        case wait(@Sendable (Outcome) -> Void)
    }

    let configuration: StreamerConfiguration
    private let isSetupAllowed: Bool
    private let onStop: OnStop
    let observations: Observations
    let failpoints: Failpoints
    let logger: Logger
    let control: StopControl
    /// nil: it streams.
    private let mending: Mending?
    /// Once all that commits before it was read, it stops as if it were asked to; nil: it does not stop by itself.
    private let goal: LSN?
    /// Random for each process: tells whose a checkpoint record is.
    private let owner: String
    private let obstacles = ObstacleMemory()
    private let rotation = RotationPatience()
    /// The servers to which the connection was said to be open to others.
    let exposedServers = Mutex<Set<String>>([])

    /// - Parameters:
    ///   - isSetupAllowed: Whether a first start may create publication, stream, bucket, slot and consumer.
    ///   - failpoints: For the fault tests.
    /// - Throws: `.system`.
    package init(
        _ configuration: StreamerConfiguration, isSetupAllowed: Bool, onStop: OnStop = .exit, observations: Observations,
        failpoints: Failpoints = .none, logger: Logger
    ) throws(StreamerError) {
        self.configuration = configuration
        self.isSetupAllowed = isSetupAllowed
        self.onStop = onStop
        self.observations = observations
        self.failpoints = failpoints
        self.logger = logger
        mending = nil
        goal = nil
        control = try StopControl()
        owner = Self.makeOwner()
    }

    /// For a command, which tells nobody how it goes.
    /// - Parameters:
    ///   - mending: It streams nothing: its sessions compare, and store what is missing.
    ///   - goal: Its sessions stop behind it.
    init(
        _ configuration: StreamerConfiguration, mending: Mending? = nil, until goal: LSN? = nil, failpoints: Failpoints,
        logger: Logger
    ) throws(StreamerError) {
        self.configuration = configuration
        self.mending = mending
        self.goal = goal
        self.logger = logger
        isSetupAllowed = false
        onStop = .exit
        observations = Observations(
            slot: configuration.source.slot, stream: configuration.stream.name, readyMaxLagBytes: 0,
            metrics: NOOPMetricsHandler.instance)
        self.failpoints = failpoints
        control = try StopControl()
        owner = Self.makeOwner()
    }

    private static func makeOwner() -> String {
        String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
    }

    /// Waits, as a command does between two attempts.
    func pause(_ duration: Duration) { control.wait(duration, observations) }

    /// From any thread: stop reading, wait for the acks, confirm, return.
    package func stop() { control.request() }

    /// Runs on a thread of its own; `completion` is called there with what `run()` returns.
    package func start(_ completion: @escaping @Sendable (Outcome) -> Void) {
        do throws(StreamerError) {
            try StreamerError.ofSystem { () throws(SystemError) in
                try OwnedThread(name: "replication") { completion(self.run()) }
            }.detach()
        } catch {
            completion(stopped(.unexpected, error, ""))
        }
    }

    /// Streams until stopped, or until something that retrying cannot mend.
    package func run() -> Outcome {
        var backoff = Backoff()
        // What it waits behind.
        var stop: Outcome?
        var isStandingBy = false
        var telling = TroubleTelling()
        var former = FormerHolder()
        let watch = slotWatch()
        let tables = tableDescriber()
        let keeper = windowKeeper()
        defer { keeper?.stop() }
        while !control.isRequested {
            let began = Instant.now
            do throws(StreamerError) {
                let end = try runSession(watch, tables, &former)
                stop = nil
                if end == .stopped { break }
                observations.repaired()
            } catch {
                let verdict = patientVerdict(on: error)
                let isOwnHolder = former.stillHolds(by: error, at: .now)
                if observations.disconnected(by: error, isStandingBy: verdict == .standBy && !isOwnHolder) {
                    telling = TroubleTelling()
                    stop = nil
                }
                if control.isRequested {
                    if case .cancelled = error { break }
                    logger.warning("ended while stopping", metadata: ["error": "\(error)"])
                    break
                }
                switch verdict {
                case .stop(let reason, let remedy):
                    let outcome = stopped(reason, error, remedy, before: stop)
                    guard case .wait(let tell) = onStop else { return outcome }
                    if outcome != stop { tell(outcome) }
                    stop = outcome
                    waitForMending(watch)
                case .standBy:
                    if !isStandingBy {
                        logger.notice(
                            standbyMessage(error, former), metadata: ["slot": "\(configuration.source.slot)", "detail": "\(error)"])
                    }
                    isStandingBy = true
                    telling = TroubleTelling()
                    if isOwnHolder, let pid = former.takeTelling() {
                        logger.warning(
                            "an old connection of this streamer still holds the slot",
                            metadata: [
                                "slot": "\(configuration.source.slot)", "pid": .stringConvertible(pid),
                                "remedy": "see what it waits for (pg_stat_activity); SELECT pg_terminate_backend(\(pid)) ends it unless it is frozen",
                            ])
                    }
                    control.wait(Self.standbyInterval, observations)
                    continue
                case .retry(let hint):
                    observations.failed(RetryReason.of(error), "\(error)")
                    if Instant.now.duration(since: began) > .seconds(30) { backoff.reset() }
                    let delay = backoff.delay(atMost: FailurePolicy.retryLimit(after: error))
                    logger.log(
                        level: telling.isNews(error) ? .warning : .debug, "interrupted, trying again",
                        metadata: [
                            "error": "\(error)", "hint": "\(hint)", "slot": "\(configuration.source.slot)",
                            "after_ms": .stringConvertible(delay.milliseconds), "reason": "\(RetryReason.of(error))",
                        ])
                    control.wait(delay, observations)
                    observations.reconnecting(to: error.peer)
                }
            }
            isStandingBy = false
        }
        observations.texts.withLock { $0.role = .stopped }
        return stop ?? Outcome(reason: nil, message: "stopped", status: .done)
    }

    /// Between two looks whether somebody has mended what it stopped for; the slot, which holds WAL meanwhile, is looked at more often.
    private func waitForMending(_ watch: SlotWatch) {
        let end = Instant.now + LongTime.mending.duration
        while !control.isRequested, Instant.now < end {
            do throws(StreamerError) { _ = try watch.look() } catch { observations.lostSight() }
            control.wait(min(SlotLook.interval, end.duration(since: .now)), observations)
        }
    }

    private func standbyMessage(_ error: StreamerError, _ former: FormerHolder) -> Logger.Message {
        if case .serverInRecovery = error { return "standing by: the server is in recovery" }
        return former.isNamed(by: error)
            ? "waiting: this streamer's own former connection still holds the slot"
            : "standing by: another streamer holds the slot"
    }

    /// - Parameter before: The stop behind which it has waited; the same again is no news.
    private func stopped(_ reason: StopReason, _ error: StreamerError, _ remedy: String, before: Outcome? = nil) -> Outcome {
        let outcome = Outcome(reason: reason, message: "\(error)", remedy: remedy, status: reason.exitCode)
        observations.failed(reason.rawValue, "\(error)")
        observations.texts.withLock { texts in
            texts.role = .stopped
            texts.stop = "\(reason.rawValue): \(ShownText.line("\(error)"))"
        }
        var fields: Logger.Metadata = [
            "reason": "\(reason.rawValue)", "error": "\(error)", "remedy": "\(remedy)",
            "slot": "\(configuration.source.slot)", "stream": "\(configuration.stream.name)",
        ]
        if let ids = error.findingIDs { fields["finding"] = "\(ids)" }
        guard outcome != before else {
            logger.debug("stopped as before", metadata: fields)
            return outcome
        }
        logger.critical("stopped", metadata: fields)
        if mending == nil { keepLastStop(reason, error, remedy) }
        return outcome
    }

    /// For `run()` and for `mend`: looks at the slot before a session.
    func slotWatch() -> SlotWatch {
        SlotWatch(configuration.source, observations: observations, onNotice: Self.noticeHandler(logger))
    }

    /// For `run()` and for `mend`: asks about tables, throughout all sessions.
    func tableDescriber() -> TableDescriber {
        TableDescriber(configuration.casts, wake: control.wake, logger: logger)
    }

    /// The policy's verdict; but for a while what was taken before and is refused now is tried again.
    private func patientVerdict(on error: StreamerError) -> Verdict {
        let verdict = FailurePolicy.verdict(on: error)
        guard case .stop(_, let remedy) = verdict, let rest = rotation.rest(of: error, at: .now) else { return verdict }
        return .retry(hint: "The secret worked before: the streamer reads the file again and tries for \(Int(rest.seconds)) s. \(remedy)")
    }

    // MARK: - One session

    /// How a session ended that nothing has ended.
    enum SessionEnd {
        case stopped
        /// The stream has the end again that it had lost: the live slot can be streamed.
        case repaired
    }

    /// Connects, recovers and streams, until asked to stop or until something ends it.
    @discardableResult
    func runSession(
        _ watch: SlotWatch, _ tables: TableDescriber, _ former: inout FormerHolder
    ) throws(StreamerError) -> SessionEnd {
        var configuration = configuration
        let logNotice = Self.noticeHandler(logger)
        // Held by another streamer: looked at over one connection only, without a walsender of our own.
        if let holder = try watch.look(), holder.isActive { throw try watch.active(holder) }
        try watch.requirePrimary()
        let sql = try watch.take()
        // While NATS is away each attempt connects to PostgreSQL anew: that is told once.
        let awaited = observations.texts.withLock { $0.awaited }
        let doubt = PublicationDoubt()
        var replication = try StreamerError.ofPostgres { () throws(PostgresError) in
            try ReplicationConnection(
                configuration.source.connection,
                walSenderTimeoutMilliseconds: configuration.source.walSenderTimeoutMilliseconds, timeout: Self.connectTimeout,
                onNotice: { notice in
                    logNotice(notice)
                    doubt.heard(notice)
                })
        }
        logger.log(
            level: awaited == .nats ? .debug : .info, "connected to PostgreSQL",
            metadata: ["server": "\(replication.endpoint)", "version": "\(replication.serverVersion)"])
        warn(of: replication.exposure, of: "PostgreSQL", remedy: Finding.verifiesPostgres)
        let link = try NATSLink.connected(
            configuration.nats, stream: configuration.stream.name,
            isWanted: {
                observations.turned(.source)
                watch.lookIfDue(over: sql)
                return !control.isRequested
            })
        defer { link.connection.close() }
        logger.log(
            level: awaited == .postgres ? .debug : .info, "connected to NATS",
            metadata: [
                "url": "\(link.connection.connectedURL)", "version": "\(link.connection.serverVersion ?? "unknown")",
            ])
        warn(of: link.connection.exposure, of: "NATS", remedy: Finding.verifiesNATS)
        let joined = try join(replication: replication, sql: sql, link: link)
        if let newestStored = joined.facts.newestStored { observations.learned(newestStored: newestStored) }
        let plan = joined.plan
        var facts = joined.facts
        if let repair = plan.repair {
            configuration.source.slot = try begin(repair, of: facts, over: replication)
            facts.slot = facts.anchor
        } else {
            observations.isRepairing.store(false, ordering: .relaxed)
        }
        let source = configuration.source
        let identity = facts.identity
        let columnRules = try ColumnRules(configuration.ruledTables, publication: source.publication, sql: sql)
        tell(differences: columnRules.findings)
        if mending == nil { try lookAtTables(sql) }
        let assembler = try makeAssembler(joined, payloadLimit: try payloadLimit(link.connection))
        do throws(PostgresError) {
            try replication.takeBytesOfNoEncoding()
            try replication.startReplication(
                slot: source.slot, at: plan.startLSN,
                options: source.options(quotedPublication: quoteIdentifier(source.publication)))
        } catch {
            throw error.isObjectInUse ? .slotActive(nil) : .postgres(error)
        }
        // Before the first publish: the slot is held, so the stream is ours.
        let held = try HeldSlot(
            try StreamerError.ofPostgres { () throws(PostgresError) in try sql.slot(named: source.slot) }, plan, facts)
        former.holds(held.pid)
        let owned = try Ownership(
            of: joined.record, revision: joined.revision, by: owner, plan, joined.facts, confirmedLSN: held.confirmedLSN, over: link)
        let record = owned.record
        observations.recorded(at: .now)
        failpoints.reached(.afterOwnership)
        logger.notice(
            "streaming",
            metadata: [
                "slot": "\(source.slot)", "start_lsn": "\(plan.startLSN)", "confirmed_lsn": "\(record.confirmedLsn)",
                "last_stored": "\(plan.known.storedID.map { $0.description } ?? "none")",
                "last_sequence": .stringConvertible(plan.known.storedSequence),
                "stream": "\(configuration.stream.name)", "timeline": .stringConvertible(joined.facts.timelines.currentTimeline),
            ])
        rotation.worked()
        observations.texts.withLock { texts in
            texts.role = .active
            texts.systemID = String(identity.systemID)
            texts.timeline = joined.facts.timelines.currentTimeline
            texts.database = identity.databaseName
            texts.isPostgresConnected = true
            texts.isSlotHeld = true
            texts.awaited = nil
            texts.isNATSConnected = link.connection.isConnected
        }

        let server = OrdinaryConnection(sql, source, logger: logger)
        try StreamerError.ofPostgres { () throws(PostgresError) in
            try tables.begin(
                over: server, columnRules: columnRules, of: identity, timeline: joined.facts.timelines.currentTimeline)
        }
        let window = RetainedWindow(byteLimit: configuration.delivery.inFlightBytes)
        let handover = Handover(
            window, record: record, storedSequence: plan.known.storedSequence, connection: link.standing,
            wakePublisher: { link.wake.signal() }, wakeSource: { [control] in control.wake.signal() })
        var start = PublishingStart(plan, owned, joined.facts)
        start.isAtomic = joined.isAtomic
        start.mending = mending
        let publisher = ChainedPublisher(
            start, configuration: configuration, handover: handover, port: link, observations: observations,
            failpoints: failpoints, logger: logger)
        let streamWatch = mending == nil ? try watchStream(over: link.connection) : nil
        defer { streamWatch?.stop() }
        let thread = try StreamerError.ofSystem { () throws(SystemError) in
            try OwnedThread(name: "delivery") { publisher.run() }
        }
        let result: Result<Void, StreamerError>
        do {
            let session = Session(
                configuration, server: server,
                reader: ChangeReader(
                    WalsenderPort(replication, wake: control.wake), catalogue: tables, assembler: assembler,
                    startLSN: plan.startLSN),
                window: window, delivery: handover, isMending: mending != nil, end: plan.repair?.endLSN, goal: goal, held: held, doubt: doubt, obstacles: obstacles,
                confirmedLSN: record.confirmedLSN,
                serverEnd: joined.facts.serverFlushLSN,
                observations: observations, control: control, failpoints: failpoints, logger: logger)
            result = Result { () throws(StreamerError) in try session.run() }
            // The slot is let go here: a server that shuts down, or another streamer, does not wait for NATS.
        }
        handover.stopPublisher()
        // A request that waits for its answer fails now, instead of holding up the stop.
        link.connection.close()
        // A thread inside a libnats that is stuck never comes back: it is left to the end of the process.
        if !link.connection.isWedged { thread.join() }
        observations.deliveryEnded()
        try result.get()
        guard let repair = plan.repair, !control.isRequested else { return .stopped }
        told(repaired: repair)
        return .repaired
    }

    private func watchStream(over connection: JetStreamConnection) throws(StreamerError) -> StreamWatch {
        try StreamerError.ofSystem { () throws(SystemError) in
            let watch = try StreamWatch(configuration, over: connection, observations: observations, logger: logger)
            try watch.start()
            return watch
        }
    }

    func makeAssembler(_ joined: Joined, payloadLimit: Int) throws(StreamerError) -> TransactionAssembler {
        do throws(CaptureError) {
            return try TransactionAssembler(
                configuration: configuration.capture, functions: configuration.captureFunctions,
                identity: joined.facts.identity, timelines: joined.facts.timelines, payloadLimit: payloadLimit,
                watermark: joined.plan.known.storedID?.position, proof: joined.plan.proof,
                skips: joined.record.acceptedSkips, eventKinds: observations.texts.withLock { $0.eventKinds })
        } catch {
            throw .capture(error)
        }
    }

    /// The payload that server and stream take, less the headers: an id has at most 100 bytes.
    func payloadLimit(_ connection: JetStreamConnection) throws(StreamerError) -> Int {
        let info = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try connection.streamInfo(configuration.stream.name)
        }
        return connection.payloadLimit(
            messageSizeLimit: info?.config.messageSizeLimit, messageIDByteCount: 100, isBatched: configuration.delivery.isAtomic)
    }

    /// Where it goes on, and how.
    struct Joined {
        var facts: Recovery.Facts
        var revision: UInt64
        var record: CheckpointRecord
        var plan: Recovery.Plan
        /// Whether transactions go out as atomic batches.
        var isAtomic: Bool
    }

    /// Finds out where to go on; sets up on a first start. What could be a stale answer is read again before it is believed.
    func join(
        replication: borrowing ReplicationConnection, sql: borrowing SQLConnection, link: NATSLink
    ) throws(StreamerError) -> Joined {
        var hasSetUp = false
        while true {
            guard !control.isRequested else { throw .cancelled }
            let (facts, revision, outcome) = try ServerFacts.assess(
                configuration, replication: replication, sql: sql, nats: link.connection, isMending: mending != nil
            ) { (_, what) throws(StreamerError) in
                logger.warning("reading the stream again before this is believed", metadata: ["what": "\(what)"])
                control.wait(.seconds(1), observations)
                guard !control.isRequested else { throw .cancelled }
            }
            failpoints.reached(.recovering)
            logger.debug(
                "both servers were read",
                metadata: [
                    "slot_confirmed_lsn": "\(facts.slot?.confirmedFlushLSN.map { "\($0)" } ?? "none")",
                    "slot_wal_status": "\(facts.slot?.walStatus ?? "unknown")", "server_lsn": "\(facts.serverFlushLSN)",
                    "record_confirmed_lsn": "\(facts.record?.confirmedLsn ?? "none")",
                    "record_last_sequence": facts.record.map { .stringConvertible($0.lastSequence) } ?? "none",
                    "stream_last_sequence": facts.stream.map { .stringConvertible($0.lastSequence) } ?? "none",
                ])
            switch outcome {
            case .proceed(let plan):
                guard let record = facts.record else {
                    throw .checkpointConflict("the checkpoint record disappeared")
                }
                try Setup.requireAccount(link.connection)
                tell(
                    differences: try Setup.compareStream(configuration, link.connection)
                        + Setup.bucketFindings(configuration, link.connection))
                let isAtomic = try takesBatches(link.connection)
                try Setup.requirePublication(configuration, sql: sql)
                try Setup.requireColumns(configuration, sql: sql)
                return Joined(facts: facts, revision: revision, record: record, plan: plan, isAtomic: isAtomic)
            case .firstStart:
                guard isSetupAllowed else {
                    throw .stop(
                        .configuration,
                        what:
                            "nothing is set up yet for slot \(configuration.source.slot) and stream \(configuration.stream.name)",
                        remedy: "Create the slot and the stream: `slotstream setup`")
                }
                guard !hasSetUp else { throw .checkpointConflict("the slot or the stream disappeared after setup") }
                hasSetUp = true
                defer { observations.texts.withLock { $0.slotWait = nil } }
                let outcome = try Setup.perform(
                    configuration, options: Setup.Options(failpoints: failpoints), replication: replication, sql: sql,
                    nats: link.connection,
                    isWanted: {
                        // The slot is made when the transactions that run now have ended.
                        self.observations.turned(.source)
                        return !self.control.isRequested
                    },
                    onDoubt: { logger.warning("reading the stream again before this is believed", metadata: ["what": "\($0)"]) },
                    onSlotWait: { wait in
                        observations.texts.withLock { $0.slotWait = wait.reason }
                        logger.notice(
                            "\(SlotWait.what): waiting for them",
                            metadata: [
                                "slot": "\(wait.slot)", "holders": "\(wait.lines.joined(separator: "; "))",
                                "query": "\(SlotWait.query)",
                            ])
                    },
                    onFailure: { report in
                        // The next attempt goes on with what is there.
                        guard !report.goesOn else { return }
                        logger.warning(
                            "setup failed",
                            metadata: [
                                "undone": "\(report.undone.joined(separator: "; "))",
                                "left": "\(report.left.joined(separator: "; "))",
                            ])
                    })
                for object in outcome.created { logger.notice("created", metadata: ["object": "\(object)"]) }
                for note in outcome.notes {
                    var fields: Logger.Metadata = ["note": "\(note.text)"]
                    if let id = note.id { fields["finding"] = "\(id.rawValue)" }
                    logger.notice("setup", metadata: fields)
                }
            case .refuse(let reason, let what, let remedy, _): throw .stop(reason, what: what, remedy: remedy)
            }
        }
    }

    /// Whether transactions go out as atomic batches; says so where they are asked for and cannot be had.
    private func takesBatches(_ connection: JetStreamConnection) throws(StreamerError) -> Bool {
        guard configuration.delivery.isAtomic else { return false }
        let info = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try connection.streamInfo(configuration.stream.name)
        }
        let canServer = connection.takesAtomicBatches
        if canServer, info?.config.allowAtomic == true { return true }
        let finding = Finding.noAtomicBatches(configuration.stream.name, canServer: canServer)
        logger.warning(
            "\(finding.message)",
            metadata: finding.fields.merging([
                "nats_server": "\(connection.serverVersion ?? "unknown")", "stream": "\(configuration.stream.name)",
            ]) { first, _ in first })
        return false
    }
}
