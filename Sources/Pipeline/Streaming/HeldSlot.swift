package import History
package import PostgresReplication
package import WAL

/// The slot as it is found once this session holds it: nobody else can move it.
package struct HeldSlot {
    /// What is confirmed from the start, and no more: the record may say more, of a history that this server was restored without.
    package var confirmedLSN: LSN
    /// The walsender, as PostgreSQL numbers it. What libpq says may be a proxy's number.
    let pid: Int32?

    /// - Parameters:
    ///   - slot: As it was read after START_REPLICATION.
    ///   - facts: What recovery went by: what the server has to prove depends on where the slot stood.
    /// - Throws: `.checkpointConflict` where it was moved since.
    package init(_ slot: SlotState?, _ plan: Recovery.Plan, _ facts: Recovery.Facts) throws(StreamerError) {
        guard let slot, let lsn = slot.confirmedFlushLSN, lsn <= plan.provenLSN, lsn == facts.slot?.confirmedFlushLSN else {
            throw .checkpointConflict("slot \(slot?.name ?? "") was moved while recovering")
        }
        confirmedLSN = lsn
        pid = slot.activePID
    }
}
