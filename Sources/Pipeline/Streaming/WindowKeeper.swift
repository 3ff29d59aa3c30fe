import History
import Logging
import PostgresReplication
import Synchronization
import Threads
import WAL

/// Keeps the anchor slot behind the live one, as far as the window says: makes it, moves it, and lets it go before it could do harm.
///
/// It has a thread and a connection of its own, since PostgreSQL reads WAL for as long as a move lasts; the streamer waits for nothing of it, and whatever fails here
/// is told and tried again. Only the streamer that has the live slot keeps it.
final class WindowKeeper: Sendable {
    /// Between two looks, for a window that is longer than a minute.
    private static let longestInterval = Duration.seconds(15)
    /// WAL that PostgreSQL reads in one move, at most.
    private static let moveByteLimit: UInt64 = 256 << 20
    /// For one move.
    private static let moveTimeout = Duration.seconds(60)
    /// After a move PostgreSQL rests this many times as long as it took.
    private static let restFactor = 4
    /// A slot that nobody has moved for this part of `idle_replication_slot_timeout` is touched.
    private static let idleShare = 3

    private let source: StreamerConfiguration.Source
    private let limits: ReplayWindow.Limits
    private let observations: Observations
    private let failpoints: Failpoints
    private let logger: Logger
    private let isOver = Atomic<Bool>(false)
    private let wake: WakeSignal

    /// Begins; `stop` ends it.
    init(
        _ source: StreamerConfiguration.Source, _ limits: ReplayWindow.Limits, observations: Observations, failpoints: Failpoints,
        logger: Logger
    ) throws(StreamerError) {
        self.source = source
        self.limits = limits
        self.observations = observations
        self.failpoints = failpoints
        self.logger = logger
        wake = try StreamerError.ofSystem { () throws(SystemError) in try WakeSignal() }
        // It may be inside a call to PostgreSQL for long: nobody waits for it.
        try StreamerError.ofSystem { () throws(SystemError) in
            try OwnedThread(name: "replay window") { self.keep() }.detach()
        }
    }

    /// From any thread: no move is begun any more.
    func stop() {
        isOver.store(true, ordering: .relaxed)
        wake.signal()
    }

    private var isWanted: Bool { !isOver.load(ordering: .relaxed) }

    /// What its thread knows from one look to the next.
    private struct Memory: ~Copyable {
        var window: ReplayWindow
        var connection: SQLConnection?
        var restsUntil: Instant?
        var movedAt = Instant.now
        /// What was told last: the same is not told again.
        var told = ""
    }

    private func keep() {
        var memory = Memory(window: ReplayWindow(limits), connection: nil)
        let interval = min(Self.longestInterval, max(.milliseconds(100), limits.age / 20))
        while isWanted {
            if observations.keepsWindow {
                do throws(PostgresError) {
                    try look(&memory)
                } catch {
                    memory.connection = nil
                    tell("the replay window is not kept now: the streamer tries again", "\(error)", &memory)
                }
            } else {
                observations.sawAnchor(nil, reach: nil)
            }
            wake.wait(timeout: limits.age == .zero ? Self.longestInterval : interval)
            wake.clear()
        }
    }

    private func tell(_ message: Logger.Message, _ why: String, _ memory: inout Memory) {
        defer { memory.told = why }
        guard memory.told != why else { return }
        logger.warning(message, metadata: ["slot": "\(anchorName)", "error": "\(why)"])
    }

    private var anchorName: String { ReplayWindow.anchor(of: source.slot) }

    private func look(_ memory: inout Memory) throws(PostgresError) {
        let sql = if let kept = memory.connection.take() { kept } else { try connected() }
        guard let live = try sql.slot(named: source.slot), let confirmed = live.confirmedFlushLSN else {
            memory.connection = consume sql
            return
        }
        let now = Instant.now
        memory.window.saw(confirmed: confirmed, at: now, time: .now)
        var anchor = try sql.slot(named: anchorName)
        if let found = anchor, !isOurs(found, like: live) {
            tell("the replay window is not kept: another program's slot has the anchor's name", "\(found.plugin ?? found.slotType)", &memory)
            memory.connection = consume sql
            return
        }
        if let found = anchor, found.isInvalidated || limits.age == .zero, !found.isActive {
            try sql.dropSlot(anchorName)
            logger.log(
                level: found.isInvalidated ? .warning : .notice,
                found.isInvalidated
                    ? "PostgreSQL invalidated the anchor slot: the replay window begins anew"
                    : "dropped the anchor slot: replay.window is 0",
                metadata: ["slot": "\(anchorName)", "wal_status": "\(found.walStatus ?? "unknown")"])
            anchor = nil
        }
        if anchor == nil, limits.age > .zero {
            try make(over: sql)
            anchor = try sql.slot(named: anchorName)
        }
        if let found = anchor { try move(found, confirmed, over: sql, &memory) }
        let reach = anchor?.confirmedFlushLSN.flatMap { memory.window.reach(of: $0) }
        observations.sawAnchor(anchor, reach: reach)
        memory.told = ""
        memory.connection = consume sql
    }

    private func connected() throws(PostgresError) -> SQLConnection {
        try SQLConnection(source.connection, timeout: Streamer.connectTimeout, onNotice: Streamer.noticeHandler(logger))
    }

    private func isOurs(_ anchor: SlotState, like live: SlotState) -> Bool {
        anchor.slotType == live.slotType && anchor.plugin == live.plugin && anchor.database == live.database && !anchor.isTemporary
    }

    /// A copy of the live slot; one that is to follow a promotion cannot be copied, and begins now.
    private func make(over sql: borrowing SQLConnection) throws(PostgresError) {
        if source.failover, sql.serverVersion >= 170_000 {
            let replication = try ReplicationConnection(source.connection, timeout: Streamer.connectTimeout)
            _ = try replication.createLogicalSlot(anchorName, failover: true, timeout: .seconds(600), isWanted: { self.isWanted })
        } else {
            _ = try sql.query(
                "SELECT lsn FROM pg_catalog.pg_copy_logical_replication_slot($1, $2, false)", [source.slot, anchorName])
        }
        logger.notice("created the anchor slot of the replay window", metadata: ["slot": "\(anchorName)"])
        failpoints.reached(.afterAnchor)
    }

    private func move(
        _ anchor: SlotState, _ confirmed: LSN, over sql: borrowing SQLConnection, _ memory: inout Memory
    ) throws(PostgresError) {
        guard !anchor.isActive, let position = anchor.confirmedFlushLSN else { return }
        let now = Instant.now
        if let rest = memory.restsUntil, now < rest { return }
        var target = memory.window.target(of: anchor, confirmed: confirmed, keptByteCount: try keptByteCount(sql), at: now)
        if target == nil, try isIdleTooLong(sql, since: memory.movedAt, at: now) { target = position }
        guard let target else { return }
        let end = min(target, LSN(position.rawValue + Self.moveByteLimit))
        let reached = try sql.advanceSlot(anchorName, to: end, timeout: Self.moveTimeout)
        let took = Instant.now.duration(since: now)
        memory.movedAt = .now
        memory.restsUntil = .now + took * Self.restFactor
        observations.movedAnchor(in: took)
        logger.debug(
            "moved the anchor slot",
            metadata: ["slot": "\(anchorName)", "lsn": "\(reached)", "took_ms": .stringConvertible(took.milliseconds)])
    }

    /// `max_slot_wal_keep_size` in bytes; nil: no limit.
    private func keptByteCount(_ sql: borrowing SQLConnection) throws(PostgresError) -> UInt64? {
        let row = try sql.query("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size'").first
        return row?.first.flatMap { $0 }.flatMap { Int64($0) }.flatMap { $0 < 0 ? nil : UInt64($0) << 20 }
    }

    /// PostgreSQL 18 invalidates a slot that nobody acquires for so long.
    private func isIdleTooLong(
        _ sql: borrowing SQLConnection, since moved: Instant, at now: Instant
    ) throws(PostgresError) -> Bool {
        guard sql.serverVersion >= 180_000 else { return false }
        let row = try sql.query(
            "SELECT extract(epoch FROM pg_catalog.current_setting('idle_replication_slot_timeout')::pg_catalog.interval)::pg_catalog.int8"
        ).first
        guard let seconds = row?.first.flatMap({ $0 }).flatMap({ Int64($0) }), seconds > 0 else { return false }
        return now.duration(since: moved) >= .seconds(seconds) / Self.idleShare
    }
}

extension Streamer {
    /// Begins to keep the replay window; nil where no thread can be had: the stream goes on without.
    func windowKeeper() -> WindowKeeper? {
        do throws(StreamerError) {
            return try WindowKeeper(
                configuration.source, configuration.window, observations: observations, failpoints: failpoints, logger: logger)
        } catch {
            logger.warning("the replay window is not kept", metadata: ["error": "\(error)"])
            return nil
        }
    }
}
