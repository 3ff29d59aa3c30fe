/// What the operator chose about events; fixed for a run.
public struct CaptureConfiguration: Sendable, Equatable {
    /// What happens with a change that cannot be an event (see `CaptureError.poison`).
    public enum PoisonPolicy: Sendable, Equatable {
        /// Stop at its position; nothing is skipped.
        case stop
        /// Publish the event without `entity`, `before` and `changes`, with `omitted`: consumers fetch the row.
        case reference
    }

    /// `{prefix}` of every subject; dots in it separate tokens.
    public var subjectPrefix: String
    /// Begins with `{prefix}.`; see `SubjectTemplate`.
    public var subjectTemplate: String
    /// Cut from table names to make entities; the longest that matches.
    public var tablePrefixes: [String]
    /// `schema.table` → entity.
    public var entities: [String: String]
    /// `schema.table` → the columns of `entity_id`.
    public var identities: [String: [String]]
    /// `schema.table` or `schema.table:OPERATION`, `*` and `?` allowed: not published. Ordinals count them all the same.
    public var exclusions: [String]
    /// Prefixes of logical messages that are events; others are ignored.
    public var messagePrefixes: [String]
    public var poisonPolicy: PoisonPolicy

    public init(
        subjectPrefix: String = "fraiseql.mutation", subjectTemplate: String = "{prefix}.{entity}.{operation}",
        tablePrefixes: [String] = ["tb_"], entities: [String: String] = [:], identities: [String: [String]] = [:],
        exclusions: [String] = [], messagePrefixes: [String] = ["fraiseql_events"], poisonPolicy: PoisonPolicy = .stop
    ) {
        self.subjectPrefix = subjectPrefix
        self.subjectTemplate = subjectTemplate
        self.tablePrefixes = tablePrefixes
        self.entities = entities
        self.identities = identities
        self.exclusions = exclusions
        self.messagePrefixes = messagePrefixes
        self.poisonPolicy = poisonPolicy
    }
}
