public import WAL

/// What a stored event tells of a table's row, value by value as JSON: for whoever puts the table together again.
public struct ReadRow: Equatable, Sendable {
    /// One column's value, as it stands in the event.
    public struct Column: Equatable, Sendable {
        public var name: [UInt8]
        public var json: [UInt8]

        public init(name: [UInt8], json: [UInt8]) {
            self.name = name
            self.json = json
        }
    }

    public var schema: String
    public var table: String
    public var operation: String
    public var position: Position
    /// The transaction's; nil: it belongs to none.
    public var transactionID: TransactionID?
    public var commitTimestamp: PostgresTimestamp?
    /// The new row, of a DELETE what is known of the old one; nil: it has none, as a TRUNCATE, or was withheld.
    public var row: [Column]?
    /// What is known of the old row of an UPDATE, where that is told.
    public var old: [Column]

    public init(
        schema: String, table: String, operation: String, position: Position, transactionID: TransactionID?,
        commitTimestamp: PostgresTimestamp? = nil, row: [Column]?, old: [Column] = []
    ) {
        self.schema = schema
        self.table = table
        self.operation = operation
        self.position = position
        self.transactionID = transactionID
        self.commitTimestamp = commitTimestamp
        self.row = row
        self.old = old
    }

    /// The members of an object, each as a column.
    /// - Returns: nil: it is not one JSON object.
    public static func columns(of json: [UInt8]) -> [Column]? {
        json.withUnsafeBytes { EventObject($0)?.rowColumns }
    }
}

extension EventFormat {
    /// Reads what a stored message tells of a row, or of what stands in the place of a row's event.
    /// - Returns: nil where it is of no table, or in FraiseQL's format, which does not name its table.
    public static func readRow(_ payload: [UInt8]) -> ReadRow? {
        payload.withUnsafeBytes { bytes in
            guard let object = EventObject(bytes) else { return nil }
            // CloudEvents' own `source` is no object.
            return ReadRow(object) ?? object.object("data").flatMap { ReadRow($0) }
        }
    }
}

extension ReadRow {
    fileprivate init?(_ object: EventObject) {
        guard let source = object.object("source"), let schema = source.string("schema"), let table = source.string("table"),
            let operation = object.string("operation"), let transaction = object.object("transaction"),
            let lsn = transaction.string("lsn").flatMap({ LSN($0) }), let ordinal = transaction.integer("ordinal")
        else { return nil }
        self.init(
            schema: schema, table: table, operation: operation, position: Position(commitLSN: lsn, ordinal: ordinal),
            transactionID: transaction.integer("id").flatMap { UInt32(exactly: $0) }.map { TransactionID($0) },
            commitTimestamp: object.string("timestamp").flatMap { PostgresTimestamp($0) },
            row: object.object("entity")?.rowColumns, old: object.object("before")?.rowColumns ?? [])
    }
}
