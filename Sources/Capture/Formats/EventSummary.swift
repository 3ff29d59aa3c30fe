/// A stored event as a person looks at it: its names, and its columns in their order. Values are texts; numbers are as they were written.
public struct EventSummary: Sendable, Equatable {
    /// A column of the row, or a member of a marker.
    public struct Column: Sendable, Equatable {
        public var name: String
        public var value: String
        /// Before an UPDATE; nil: it is not told, or is the same.
        public var old: String?
    }

    /// What it is, if it is no event of a row.
    public enum Kind: Sendable, Equatable {
        case event
        /// Of changes that are not in the stream, with what it says of them.
        case gap, hole, skip, backfill
        /// Stands for an event that could not be one.
        case quarantined
    }

    public var kind = Kind.event
    public var entity: String
    public var operation: String
    public var entityID: String?
    /// As the event has it.
    public var timestamp: String?
    /// Those that changed, where that is told.
    public var columns: [Column] = []
    public var transactionID: String?
    public var ordinal: UInt64?
    /// Whether it is the last of its transaction.
    public var isLast = false
    /// The number of the backfill that it is of: a row that was read, or a marker.
    public var backfillID: String?
    /// The id under which it should have been stored, if it is stored late.
    public var lateID: String?
    /// Why its data are not in it.
    public var omitted: String?

    /// Reads a stored message's body, in whichever format it was written.
    /// - Returns: nil where it is no event.
    public init?(_ payload: [UInt8], subject: String) {
        guard let event = EventFormat.read(payload, subject: subject) else { return nil }
        entity = event.entity
        operation = event.operation
        let summary: EventSummary = payload.withUnsafeBytes { bytes in
            var summary = self
            guard let object = EventObject(bytes) else { return summary }
            summary.take(object.object("data").flatMap { object.string("specversion") == nil ? nil : $0 } ?? object)
            return summary
        }
        self = summary
    }

    /// - Parameter object: In Slotstream's own format, or FraiseQL's.
    private mutating func take(_ object: EventObject) {
        entityID = object.string("entity_id")
        timestamp = object.string("timestamp")
        lateID = object.object("late")?.string("id")
        omitted = object.string("omitted")
        backfillID = object.object("backfill")?.text("id")
        if let transaction = object.object("transaction") {
            transactionID = transaction.text("id")
            ordinal = transaction.integer("ordinal")
            isLast = transaction.bool("last") ?? false
        }
        if let (marker, kind) = Self.marker(object) {
            self.kind = kind
            columns = marker.columns
            return
        }
        if let poison = object.object("poison") {
            kind = .quarantined
            columns = poison.columns
            return
        }
        let row = (object.object("entity") ?? object.object("data"))?.columns ?? []
        guard let changes = object.object("changes"), !changes.columns.isEmpty else {
            columns = row
            return
        }
        columns = changes.objects.map { Column(name: $0.name, value: $0.object.text("new") ?? "null", old: $0.object.text("old")) }
    }

    private static func marker(_ object: EventObject) -> (EventObject, Kind)? {
        // Whatever a row's column is called: a marker has no entity.
        guard object.string("entity_type") == nil else { return nil }
        if let gap = object.object("gap") { return (gap, .gap) }
        if let hole = object.object("hole") { return (hole, .hole) }
        if let skip = object.object("skip") { return (skip, .skip) }
        if let backfill = object.object("backfill") { return (backfill, .backfill) }
        return nil
    }
}

extension EventObject {
    /// Its members, each with its value's text.
    fileprivate var columns: [EventSummary.Column] { texts.map { EventSummary.Column(name: $0.name, value: $0.value) } }
}
