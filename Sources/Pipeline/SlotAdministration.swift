public import PostgresReplication

/// `slot list` and `slot drop`. A slot is created by `Setup`, with its record.
public enum SlotAdministration {
    public static func list(_ configuration: StreamerConfiguration) throws(StreamerError) -> [SlotState] {
        try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(configuration.source.connection, isReadOnly: true).slots().filter { $0.slotType == "logical" }
        }
    }

    /// - Throws: `.postgres` 55006 while somebody streams from it, 42704 if there is none.
    public static func drop(_ name: String, _ configuration: StreamerConfiguration) throws(StreamerError) {
        try StreamerError.ofPostgres { () throws(PostgresError) in
            try SQLConnection(configuration.source.connection, isReadOnly: true).dropSlot(name)
        }
    }
}
