import Capture
import History
import JetStreamPublishing
import Logging
import PostgresReplication
import Synchronization
import Threads
import WAL

/// One session: from connecting until it is asked to stop, or something ends it.
extension Streamer {
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
        let assembler = try makeAssembler(joined, payloadLimit: payloadLimit(of: joined, over: link.connection))
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
            of: joined.record, revision: joined.revision, by: owner, plan, joined.facts, confirmedLSN: held.confirmedLSN,
            namesBackfill: !configuration.backfill.onFirstStart.isEmpty, over: link)
        let record = owned.record
        observations.recorded(at: .now)
        failpoints.reached(.afterOwnership)
        let sqlMark = try StreamerError.ofPostgres { () throws(PostgresError) in try ServerMark.read(over: sql) }
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
        let backfill = try beginBackfill(joined, record, configuration, columnRules, sqlMark, window, handover, link)
        defer { backfill?.exchange.end() }
        // From here on NATS is not asked before changes go out: what is told as ready is ready.
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
            if let backfill { session.place(by: backfill.placer) }
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

    /// The payload that server and stream take, less the headers.
    /// - Parameter idByteCount: A message's id has at most so many; that of a change, 100.
    func payloadLimit(of joined: Joined, over connection: JetStreamConnection, idByteCount: Int = 100) -> Int {
        connection.payloadLimit(
            messageSizeLimit: joined.messageSizeLimit, messageIDByteCount: idByteCount, isBatched: configuration.delivery.isAtomic)
    }
}
