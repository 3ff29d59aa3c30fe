import History
import Logging
import PostgresReplication
import Threads
import WAL

/// Looks at the slot while no session streams, over an ordinary connection of its own that it keeps: whoever stands by opens none for each look.
///
/// It belongs to the thread of `Streamer.run()`.
final class SlotWatch {
    private let parameters: ConnectionParameters
    private let slotName: String
    private let observations: Observations
    private let onNotice: NoticeHandler
    private var kept: SQLConnection?
    private var lastLookAt = Instant.now
    /// Who held the slot when that was last asked for: once for each holder, not at each look.
    private var holder: SlotHolder?

    init(_ source: StreamerConfiguration.Source, observations: Observations, onNotice: @escaping NoticeHandler) {
        parameters = source.connection
        slotName = source.slot
        self.observations = observations
        self.onNotice = onNotice
    }

    /// How PostgreSQL shows the slot; nil: there is none. Connects where no connection is kept, or the kept one has ended.
    func look() throws(StreamerError) -> SlotState? {
        if let connection = kept.take() {
            do throws(PostgresError) {
                let slot = try connection.slot(named: slotName, timeout: SlotLook.timeout)
                kept = consume connection
                return saw(slot)
            } catch {
                // A new connection tells why.
            }
            observations.turned(.source)
        }
        do throws(PostgresError) {
            let connection = try connected()
            let slot = try connection.slot(named: slotName)
            kept = consume connection
            return saw(slot)
        } catch {
            throw .postgres(error)
        }
    }

    /// Refuses a server in recovery, before anything else is asked for: it is looked at again and again.
    /// - Throws: `.serverInRecovery`.
    func requirePrimary() throws(StreamerError) {
        let connection = try take()
        let isInRecovery = try StreamerError.ofPostgres { () throws(PostgresError) in try connection.isInRecovery() }
        kept = consume connection
        if isInRecovery { throw .serverInRecovery }
    }

    /// That a slot that was looked at is in use, with whose connection it is.
    func active(_ slot: SlotState) throws(StreamerError) -> StreamerError {
        if let holder, holder.pid == slot.activePID { return .slotActive(holder) }
        guard let connection = kept.take() else { return .slotActive(slot.activePID.map { SlotHolder(pid: $0) }) }
        let active = try SlotAdministration.active(slot, connection)
        kept = consume connection
        if case .slotActive(let found) = active { holder = found }
        return active
    }

    /// Hands the connection over to a session.
    func take() throws(StreamerError) -> SQLConnection {
        if let connection = kept.take() { return connection }
        return try StreamerError.ofPostgres { () throws(PostgresError) in try connected() }
    }

    /// Looks over a session's connection when a look is due, while that session waits for NATS.
    func lookIfDue(over connection: borrowing SQLConnection) {
        guard Instant.now.duration(since: lastLookAt) >= SlotLook.interval else { return }
        do throws(PostgresError) {
            _ = saw(try connection.slot(named: slotName, timeout: SlotLook.timeout))
        } catch {
            // What it means is the session's to find out.
            lastLookAt = .now
            observations.lostSight()
        }
    }

    private func connected() throws(PostgresError) -> SQLConnection {
        try SQLConnection(parameters, timeout: Streamer.connectTimeout, isReadOnly: true, onNotice: onNotice)
    }

    private func saw(_ slot: SlotState?) -> SlotState? {
        lastLookAt = .now
        observations.turned(.source)
        observations.saw(slot)
        return slot
    }
}
