import PGOutput
import WAL

/// What a change does to a table: the last token of its subject.
enum RowOperation: Int, CaseIterable {
    case insert, update, delete, truncate

    var name: String {
        switch self {
        case .insert: "INSERT"
        case .update: "UPDATE"
        case .delete: "DELETE"
        case .truncate: "TRUNCATE"
        }
    }
}

/// All that is the same for every row of a relation, worked out once: per row it is only followed.
final class RelationPlan {
    /// One column, without references, so that a row's loop counts no references.
    struct Column {
        /// Where `,"name":` stands in `keys`.
        var keyStart: Int
        var keyByteCount: Int
        /// nil: `forms` says how.
        var shape: ValueShape?
        var treatment: Treatment
        /// Part of the replica identity, which is all that an old key row carries.
        var isKey: Bool
    }

    /// What becomes of a column's values.
    enum Treatment: Equatable {
        case plain
        /// As if the column were not there.
        case excluded
        case hmac
        /// Index into `fixedTexts`.
        case fixedText(Int)
    }

    /// What an operation's events have in common. A class, so that a row counts one reference.
    final class Operation {
        let rowOperation: RowOperation
        let subject: SubjectPlan
        let opening: EventOpening
        let isExcluded: Bool
        /// Index into `TransactionAssembler.eventKinds`; of no meaning where `isExcluded`.
        let kindIndex: Int32

        /// - Parameter name: What it is called; nil: as the operation is.
        init(
            _ operation: RowOperation, named name: String? = nil, of plan: RelationPlan, configuration: CaptureConfiguration,
            template: SubjectTemplate, exclusions: [ExclusionPattern], identity: SourceIdentity, kindIndex: () -> Int32
        ) {
            let name = name ?? operation.name
            rowOperation = operation
            subject = SubjectPlan(
                template, prefix: configuration.subjectPrefix, database: identity.databaseName, schema: plan.schema,
                table: plan.table, entity: plan.entity, operation: name,
                columnIndex: { name in
                    plan.columnNames.indices.first {
                        plan.columnNames[$0].utf8.elementsEqual(name.utf8) && plan.columns[$0].treatment != .excluded
                    }
                })
            opening = configuration.format.layout.opening(
                entity: plan.entity, operation: name, identity: identity)
            isExcluded = exclusions.contains {
                $0.matches(qualifiedName: plan.qualifiedName, operation: name)
            }
            self.kindIndex = isExcluded ? 0 : kindIndex()
        }
    }

    /// As pgoutput described it.
    let relation: Relation
    let id: RelationID
    /// None of its rows may be handed on.
    let isRefused: Bool
    /// What is null in an old row may be only not logged.
    let areOldNullsUnknown: Bool
    let database: String
    let schema: String
    let table: String
    let entity: String
    let columns: [Column]
    let columnNames: [String]
    let typeOIDs: [UInt32]
    let typeNames: [String]
    /// A form for each column. They change when a composite type does.
    private(set) var forms: [ValueForm]
    let fixedTexts: [[UInt8]]
    let keys: [UInt8]
    /// By operation, each worked out when the first change of it comes: few tables see all four.
    var operations: [Operation?] = Array(repeating: nil, count: RowOperation.allCases.count)
    /// The columns of `entity_id`, in column order; empty: the table has none.
    let identityColumns: [Int]
    /// Of whoever watches its rows, asked last.
    var watchedKey: (names: [String], indices: [Int]?)?
    /// What closes an event: `},"source":{…}}` after `last`, in the format's own words.
    let tail: [UInt8]

    init(
        _ relation: Relation, configuration: CaptureConfiguration, database: String, types: TypeCatalogue,
        facts: TableFacts, isRefused: Bool
    ) {
        self.relation = relation
        id = relation.id
        self.isRefused = isRefused
        areOldNullsUnknown = relation.replicaIdentity == .full && (facts.hasPartitionWithoutFullIdentity || !facts.areCertain)
        self.database = database
        schema = relation.namespace
        table = relation.name
        let qualifiedName = relation.qualifiedName
        entity =
            configuration.entities.value(bytesOf: qualifiedName)
            ?? EntityNaming.entity(forTable: relation.name, prefixes: configuration.tablePrefixes)

        var keys: [UInt8] = []
        var columns: [Column] = []
        var fixedTexts: [[UInt8]] = []
        let excluded = configuration.excludedColumns.value(bytesOf: qualifiedName) ?? []
        let masks = configuration.masks.value(bytesOf: qualifiedName) ?? [:]
        let forms = relation.columns.map { types.form(of: $0.typeOID) }
        for (index, column) in relation.columns.enumerated() {
            let key = Array(",".utf8) + JSONText.string(column.name) + Array(":".utf8)
            var treatment = Treatment.plain
            if excluded.contains(bytesOf: column.name) {
                treatment = .excluded
            } else if let mask = masks.value(bytesOf: column.name) {
                switch mask {
                case .hmac: treatment = .hmac
                case .text(let text):
                    treatment = .fixedText(fixedTexts.count)
                    fixedTexts.append(Array(text.utf8))
                }
            }
            var shape: ValueShape?
            if case .scalar(let scalar) = forms[index] { shape = scalar }
            columns.append(
                Column(
                    keyStart: keys.count, keyByteCount: key.count, shape: shape, treatment: treatment,
                    isKey: column.isKey))
            keys += key
        }
        self.keys = keys
        self.columns = columns
        self.forms = forms
        self.fixedTexts = fixedTexts
        typeOIDs = relation.columns.map(\.typeOID)
        typeNames = relation.columns.map { types.name(of: $0.typeOID) }
        let columnNames = relation.columns.map(\.name)
        self.columnNames = columnNames
        let identityColumns = Self.identityColumns(
            of: relation, required: configuration.identities.value(bytesOf: qualifiedName),
            optional: configuration.optionalIdentities.value(bytesOf: qualifiedName), facts: facts)
        // What is written nowhere is no part of an identity either; the rest of one would be another.
        self.identityColumns = identityColumns.contains { columns[$0].treatment == .excluded } ? [] : identityColumns

        tail = configuration.format.layout.tail(
            source: JSONText.source(database: database, schema: relation.namespace, table: relation.name))
    }

    /// `schema.table`, for rules and errors. Rules for it are rules for every table whose name it is: one of them has a dot inside its own, or its schema's.
    var qualifiedName: String { "\(schema).\(table)" }

    /// Whether the database may have to be asked about values of its rows.
    var mayNeedCasts: Bool { forms.contains { $0.hasCasts } }

    /// Whether a column is a composite, or made of some.
    var hasComposites: Bool { forms.contains { $0.hasComposites } }

    /// Takes what the catalogue says of the columns' types now.
    func refreshForms(_ types: TypeCatalogue) {
        forms = typeOIDs.map { types.form(of: $0) }
    }

    /// The configured columns, else `id`, else the primary key, else the replica identity's index; never FULL's all columns.
    private static func identityColumns(
        of relation: Relation, required: [String]?, optional: [String]?, facts: TableFacts
    ) -> [Int] {
        let described = relation.columns.map(\.name)
        /// None unless all of `names` are there; in column order.
        func indices(of names: [String], and others: [String] = []) -> [Int] {
            guard names.allSatisfy({ described.contains(bytesOf: $0) }) else { return [] }
            return described.indices.filter {
                names.contains(bytesOf: described[$0]) || others.contains(bytesOf: described[$0])
            }
        }
        if required != nil || optional != nil { return indices(of: required ?? [], and: optional ?? []) }
        let id = indices(of: ["id"])
        if !id.isEmpty { return id }
        let flagged = relation.columns.indices.filter { relation.columns[$0].isKey }
        /// The flagged columns, unless a column list leaves out others of `key`: of a part of a key several rows have the same.
        func flags(of key: [String]) -> [Int] {
            let isPart = key.count > flagged.count && flagged.allSatisfy { key.contains(bytesOf: described[$0]) }
            return isPart ? [] : flagged
        }
        // With the default identity the flags are the primary key, as it was when the row was written.
        if relation.replicaIdentity == .default { return flags(of: facts.primaryKey) }
        // What is absent is not known; another key's values would be another row's identity.
        guard facts.areCertain else { return [] }
        let key = indices(of: facts.primaryKey)
        if !key.isEmpty { return key }
        return relation.replicaIdentity == .index ? flags(of: facts.identityIndex) : []
    }

    /// Whether the catalogue has to be asked for `TableFacts`: to choose the columns of `entity_id`, or to tell what an old row's nulls mean.
    static func needsFacts(_ relation: Relation, configuration: CaptureConfiguration) -> Bool {
        if relation.replicaIdentity == .full { return true }
        let qualifiedName = relation.qualifiedName
        return configuration.identities.value(bytesOf: qualifiedName) == nil
            && configuration.optionalIdentities.value(bytesOf: qualifiedName) == nil
            && !relation.columns.map(\.name).contains(bytesOf: "id")
    }
}

extension [String] {
    /// Whether it holds `name` byte for byte, as PostgreSQL tells names apart: `==` takes two spellings of é for one.
    fileprivate func contains(bytesOf name: String) -> Bool {
        contains { $0.utf8.elementsEqual(name.utf8) }
    }
}

extension Dictionary where Key == String {
    /// The value of the key that is `name` byte for byte. Once a relation: tables with rules are few.
    fileprivate func value(bytesOf name: String) -> Value? {
        first { $0.key.utf8.elementsEqual(name.utf8) }?.value
    }
}
