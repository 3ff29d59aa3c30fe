/// What the operator chose about events; fixed for a run.
///
/// `schema.table` is both names joined with a dot, as they are; it stands for every table of which that is the name. Names are equal if their bytes are.
public struct CaptureConfiguration: Sendable, Equatable {
    /// What happens with a change that cannot be an event (see `CaptureError.poison`).
    public enum PoisonPolicy: Sendable, Equatable {
        /// Stop at its position; nothing is skipped.
        case stop
        /// Publish in its place, on `{prefix}._slotstream.POISON`, what is known of it and why it is none.
        case quarantine
        /// Publish the event without `entity`, `before` and `changes`, with `omitted`: consumers fetch the row. What cannot be referred to is quarantined.
        case reference
    }

    /// What goes out in place of a column's value. NULL stays NULL, what was not sent stays unsent.
    public enum Mask: Sendable, Equatable {
        /// HMAC-SHA-256 of the value's text under `CaptureFunctions.hmacSHA256`, in lower hexadecimal digits.
        case hmac
        /// Always this text.
        case text(String)
    }

    public var format: EventFormat
    /// `{prefix}` of every subject; dots in it separate tokens.
    public var subjectPrefix: String
    /// Begins with `{prefix}.`; see `SubjectTemplate`.
    public var subjectTemplate: String
    /// Cut from table names to make entities; the longest that matches.
    public var tablePrefixes: [String]
    /// `schema.table` → entity.
    public var entities: [String: String]
    /// `schema.table` → the columns of `entity_id`. A table without one of them has none.
    public var identities: [String: [String]]
    /// `schema.table` → columns that are part of `entity_id` too, where the table has them.
    public var optionalIdentities: [String: [String]]
    /// `schema.table` → columns that are written nowhere: as if they were not published.
    public var excludedColumns: [String: [String]]
    /// `schema.table` → column → what stands for its values, wherever they would.
    public var masks: [String: [String: Mask]]
    /// `schema.table` or `schema.table:OPERATION`, `*` and `?` allowed: not published. Ordinals count them all the same.
    public var exclusions: [String]
    /// Prefixes of logical messages that are events; others are ignored.
    public var messagePrefixes: [String]
    public var poisonPolicy: PoisonPolicy

    public init(
        format: EventFormat = .slotstream, subjectPrefix: String = "fraiseql.mutation",
        subjectTemplate: String = "{prefix}.{entity}.{operation}", tablePrefixes: [String] = ["tb_"],
        entities: [String: String] = [:], identities: [String: [String]] = [:],
        optionalIdentities: [String: [String]] = [:],
        excludedColumns: [String: [String]] = [:], masks: [String: [String: Mask]] = [:], exclusions: [String] = [],
        messagePrefixes: [String] = ["fraiseql_events"], poisonPolicy: PoisonPolicy = .quarantine
    ) {
        self.format = format
        self.subjectPrefix = subjectPrefix
        self.subjectTemplate = subjectTemplate
        self.tablePrefixes = tablePrefixes
        self.entities = entities
        self.identities = identities
        self.optionalIdentities = optionalIdentities
        self.excludedColumns = excludedColumns
        self.masks = masks
        self.exclusions = exclusions
        self.messagePrefixes = messagePrefixes
        self.poisonPolicy = poisonPolicy
    }
}
