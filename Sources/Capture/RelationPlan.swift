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
        var shape: ValueShape
        /// 0: not an array.
        var arrayDelimiter: UInt8
        /// Part of the replica identity, which is all that an old key row carries.
        var isKey: Bool
    }

    struct Operation {
        let subject: SubjectPlan
        /// `","entity_type":"Order","operation":"INSERT"`: what follows the id.
        let head: [UInt8]
        let isExcluded: Bool
        /// Index into `TransactionAssembler.eventKinds`.
        let kindIndex: Int32
    }

    let id: RelationID
    /// `schema.table`, for rules and errors.
    let qualifiedName: String
    let columns: [Column]
    let columnNames: [String]
    let typeNames: [String]
    let keys: [UInt8]
    let operations: [Operation]
    /// The columns of `entity_id`, in column order; empty: the table has none.
    let identityColumns: [Int]
    /// `},"source":{…}}`: what follows `last`.
    let tail: [UInt8]

    init(
        _ relation: Relation, configuration: CaptureConfiguration, template: SubjectTemplate,
        exclusions: [ExclusionPattern], identity: SourceIdentity, types: TypeCatalogue, primaryKey: [String],
        kindIndex: (_ entity: String, _ operation: String) -> Int32
    ) {
        id = relation.id
        let qualifiedName = "\(relation.namespace).\(relation.name)"
        self.qualifiedName = qualifiedName
        let entity =
            configuration.entities[qualifiedName]
            ?? EntityNaming.entity(forTable: relation.name, prefixes: configuration.tablePrefixes)

        var keys: [UInt8] = []
        var columns: [Column] = []
        var typeNames: [String] = []
        for column in relation.columns {
            let key = Array(",".utf8) + JSONText.string(column.name) + Array(":".utf8)
            let type = types.description(of: column.typeOID)
            columns.append(
                Column(
                    keyStart: keys.count, keyByteCount: key.count, shape: type.shape,
                    arrayDelimiter: type.arrayDelimiter ?? 0, isKey: column.isKey))
            keys += key
            typeNames.append(type.name)
        }
        self.keys = keys
        self.columns = columns
        self.typeNames = typeNames
        let columnNames = relation.columns.map(\.name)
        self.columnNames = columnNames
        identityColumns = Self.identityColumns(
            of: relation, chosen: configuration.identities[qualifiedName], primaryKey: primaryKey)

        operations = RowOperation.allCases.map { operation in
            let head =
                Array("\",\"entity_type\":".utf8) + JSONText.string(entity)
                + Array(",\"operation\":\"\(operation.name)\"".utf8)
            return Operation(
                subject: SubjectPlan(
                    template, prefix: configuration.subjectPrefix, database: identity.databaseName,
                    schema: relation.namespace, table: relation.name, entity: entity, operation: operation.name,
                    columnIndex: { name in columnNames.firstIndex { $0.utf8.elementsEqual(name.utf8) } }),
                head: head,
                isExcluded: exclusions.contains {
                    $0.matches(qualifiedName: qualifiedName, operation: operation.name)
                },
                kindIndex: kindIndex(entity, operation.name))
        }
        tail =
            Array("},\"source\":{\"database\":".utf8) + JSONText.string(identity.databaseName)
            + Array(",\"schema\":".utf8) + JSONText.string(relation.namespace) + Array(",\"table\":".utf8)
            + JSONText.string(relation.name) + Array("}}".utf8)
    }

    /// The configured columns, else `id`, else the primary key, else the replica identity's index; never FULL's all columns.
    private static func identityColumns(of relation: Relation, chosen: [String]?, primaryKey: [String]) -> [Int] {
        func indices(of names: [String]) -> [Int] {
            let found = relation.columns.indices.filter { names.contains(bytesOf: relation.columns[$0].name) }
            return found.count == names.count ? found : []
        }
        if let chosen { return indices(of: chosen) }
        let id = indices(of: ["id"])
        if !id.isEmpty { return id }
        let key = indices(of: primaryKey)
        if !key.isEmpty { return key }
        switch relation.replicaIdentity {
        case .default, .index: return relation.columns.indices.filter { relation.columns[$0].isKey }
        case .full, .nothing: return []
        }
    }

    /// Whether the primary key has to be asked of the catalogue to choose the columns of `entity_id`.
    static func needsPrimaryKey(_ relation: Relation, configuration: CaptureConfiguration) -> Bool {
        // With the default identity the key flags are the primary key itself.
        configuration.identities["\(relation.namespace).\(relation.name)"] == nil
            && !relation.columns.contains { $0.name == "id" } && relation.replicaIdentity != .default
    }
}

extension [String] {
    /// Whether it holds `name` byte for byte, as PostgreSQL tells names apart: `==` takes two spellings of é for one.
    fileprivate func contains(bytesOf name: String) -> Bool {
        contains { $0.utf8.elementsEqual(name.utf8) }
    }
}

/// Text as JSON on cold paths: names and messages of our own.
enum JSONText {
    /// A JSON string with its quotes, escaped as PostgreSQL's `escape_json` does.
    static func string(_ text: String) -> [UInt8] {
        var buffer = OutputBuffer()
        var text = text
        // A Swift string is UTF-8 always: nothing to refuse.
        _ = text.withUTF8 { buffer.appendJSONString(UnsafeRawBufferPointer($0)) }
        return Array(buffer.bytes)
    }
}
