package import History
package import PostgresReplication

/// `slot list` and `slot drop`. A slot is created by `Setup`, with its record.
package enum SlotAdministration {
    package static func list(_ configuration: StreamerConfiguration) throws(StreamerError) -> [SlotState] {
        try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(configuration.source.connection, isReadOnly: true).slots().filter { $0.slotType == "logical" }
        }
    }

    /// Drops a slot of ours that nobody streams from.
    ///
    /// - Parameter isWanted: Asked last, with what is going to be dropped; false leaves it.
    /// - Returns: Whether it was dropped.
    /// - Throws: `.slotActive` while somebody streams from it; `.stop` where there is none, or it is not ours.
    package static func drop(
        _ name: String, _ configuration: StreamerConfiguration, isWanted: (SlotState) -> Bool
    ) throws(StreamerError) -> Bool {
        let sql = try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(configuration.source.connection, isReadOnly: true)
        }
        let slot = try StreamerError.ofPostgres { () throws(PostgresError) in try sql.slot(named: name) }
        guard let slot else {
            throw .stop(
                .configuration, what: "slot \(name) does not exist, so nothing was dropped",
                remedy: "Show the slots: `slotstream slot list`")
        }
        let database = try StreamerError.ofPostgres { () throws(PostgresError) in
            try sql.query("SELECT pg_catalog.current_database()").first?.first.flatMap { $0 }
        }
        if let difference = difference(slot, configuration.source.slot, database: database) {
            throw .stop(
                .configuration, what: "slot \(name) is not this streamer's, so nothing was dropped: \(difference.what)",
                remedy: difference.remedy)
        }
        if slot.isActive { throw try active(slot, sql) }
        guard isWanted(slot) else { return false }
        try StreamerError.ofPostgres { () throws(PostgresError) in try sql.dropSlot(name) }
        return true
    }

    /// In what a slot is not what a streamer of this configuration makes, and what whoever wants to drop it all the same does.
    static func difference(
        _ slot: SlotState, _ configured: String, database: String?
    ) -> (what: String, remedy: String)? {
        let byHand = "Ask the owner of the slot to drop the slot in psql: SELECT pg_drop_replication_slot(\(quoteLiteral(slot.name)))"
        guard slot.slotType == "logical" else { return ("the slot is physical", byHand) }
        guard slot.plugin == "pgoutput" else { return ("the plugin is \(slot.plugin ?? "unknown")", byHand) }
        guard slot.database == database else { return ("the slot belongs to database \(slot.database ?? "unknown")", byHand) }
        // A subscription's slot looks the same.
        guard slot.name == configured || slot.name == configured + "_anchor" else {
            return (
                "source.slot is \(configured)",
                "If the slot was a streamer's, drop the slot: `slotstream slot drop \(slot.name) --set source.slot=\(slot.name)`"
            )
        }
        return nil
    }

    /// That a slot is in use, with whose connection it is, as far as PostgreSQL tells.
    static func active(_ slot: SlotState, _ sql: borrowing SQLConnection) throws(StreamerError) -> StreamerError {
        guard let pid = slot.activePID else { return .slotActive(nil) }
        return .slotActive(try StreamerError.ofPostgres { () throws(PostgresError) in try SlotHolder(pid: pid, over: sql) })
    }
}
