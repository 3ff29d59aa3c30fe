package import History
package import PostgresReplication
package import WAL

/// The slot as it is found once this session holds it: nobody else can move it.
package struct HeldSlot {
    /// What is confirmed from the start, and no more: the record may say more, of a history that this server was restored without.
    package var confirmedLSN: LSN
    /// The walsender, as PostgreSQL numbers it. What libpq says may be a proxy's number.
    let pid: Int32?

    /// - Parameter slot: As it was read after START_REPLICATION.
    /// - Throws: `.checkpointConflict` where it was moved beyond what recovery went by.
    package init(_ slot: SlotState?, _ plan: Recovery.Plan) throws(StreamerError) {
        guard let slot, let lsn = slot.confirmedFlushLSN, lsn <= plan.provenLSN else {
            throw .checkpointConflict("slot \(slot?.name ?? "") was moved while recovering")
        }
        confirmedLSN = lsn
        pid = slot.activePID
    }
}
