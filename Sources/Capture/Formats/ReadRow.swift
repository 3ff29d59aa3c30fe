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

    /// Of what run a row is, and of when.
    public struct Backfill: Equatable, Sendable {
        public var place: BackfillPlace
        /// Where the server wrote when the row's snapshot had been taken.
        public var lsn: LSN

        public init(place: BackfillPlace, lsn: LSN) {
            self.place = place
            self.lsn = lsn
        }
    }

    public var schema: String
    public var table: String
    public var operation: String
    /// Of a row of a backfill, that of the event behind which it is stored.
    public var position: Position
    /// The transaction's; nil: it belongs to none.
    public var transactionID: TransactionID?
    public var commitTimestamp: PostgresTimestamp?
    /// The new row, of a DELETE what is known of the old one; nil: it has none, as a TRUNCATE, or was withheld.
    public var row: [Column]?
    /// What is known of the old row of an UPDATE, where that is told.
    public var old: [Column]
    /// nil: it is of a change. Else the row as it was, whatever the operation is called.
    public var backfill: Backfill?

    public init(
        schema: String, table: String, operation: String, position: Position, transactionID: TransactionID?,
        commitTimestamp: PostgresTimestamp? = nil, row: [Column]?, old: [Column] = [], backfill: Backfill? = nil
    ) {
        self.schema = schema
        self.table = table
        self.operation = operation
        self.position = position
        self.transactionID = transactionID
        self.commitTimestamp = commitTimestamp
        self.row = row
        self.old = old
        self.backfill = backfill
    }

    /// Where it stands among all that is stored of its table.
    public var order: StreamOrder {
        backfill.map { StreamOrder(position, run: $0.place.run, count: $0.place.count) } ?? StreamOrder(position)
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
            let operation = object.string("operation")
        else { return nil }
        let row = object.object("entity")?.rowColumns
        if let transaction = object.object("transaction") {
            guard let lsn = transaction.string("lsn").flatMap({ LSN($0) }), let ordinal = transaction.integer("ordinal") else { return nil }
            self.init(
                schema: schema, table: table, operation: operation, position: Position(commitLSN: lsn, ordinal: ordinal),
                transactionID: transaction.integer("id").flatMap { UInt32(exactly: $0) }.map { TransactionID($0) },
                commitTimestamp: object.string("timestamp").flatMap { PostgresTimestamp($0) },
                row: row, old: object.object("before")?.rowColumns ?? [])
        } else {
            // Its position stands in its id only.
            guard let lsn = object.object("backfill")?.string("lsn").flatMap({ LSN($0) }),
                let id = object.string("id").flatMap({ MessageID($0) }), let place = id.backfillPlace
            else { return nil }
            self.init(
                schema: schema, table: table, operation: operation, position: id.position, transactionID: nil, row: row,
                backfill: Backfill(place: place, lsn: lsn))
        }
    }
}
