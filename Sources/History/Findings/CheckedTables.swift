package import Capture
import PostgresReplication

/// What the publication publishes and how, beside what `setup` and `run` find out themselves, for `check`.
package struct CheckedTables: Sendable {
    /// A published table.
    package struct Table: Sendable {
        /// As SQL writes it.
        package var name: String
        /// `schema.table`.
        package var plainName: String
        /// The table's own part of it.
        package var tableName: String
        /// `d`, `i`, `f` or `n`.
        package var replicaIdentity: Character
        package var columns: Set<String> = []
        package var primaryKey: [String] = []
        /// What UPDATE and DELETE write of the old row; nil: all of it.
        package var identity: Set<String>?
        /// Unique indexes over NOT NULL columns, with those columns.
        package var indexes: [(name: String, columns: [String])] = []
        /// Of the whole table with its TOAST, divided by its rows; nil: never analysed.
        package var bytesPerRow: Double?
        package var hasRowFilter = false
        package var hasColumnList = false

        package init(name: String, plainName: String, tableName: String, replicaIdentity: Character) {
            self.name = name
            self.plainName = plainName
            self.tableName = tableName
            self.replicaIdentity = replicaIdentity
        }
    }

    /// A table that matches `source.tables` and is never published.
    package struct Unpublishable: Sendable {
        package var name: String
        package var isUnlogged: Bool

        package init(name: String, isUnlogged: Bool) {
            self.name = name
            self.isUnlogged = isUnlogged
        }
    }

    /// A trigger that announces rows.
    package struct Trigger: Sendable {
        package var name: String
        package var table: String
        /// By `pg_notify`, which has no effect.
        package var notifies: Bool

        package init(name: String, table: String, notifies: Bool) {
            self.name = name
            self.table = table
            self.notifies = notifies
        }
    }

    /// A type with a cast to json that an ordinary user made.
    package struct Cast: Sendable {
        package var type: String
        package var function: String
        package var isCalled: Bool
        /// A superuser of the server, if type and function can be made his.
        package var owner: String?

        package init(type: String, function: String, isCalled: Bool, owner: String?) {
            self.type = type
            self.function = function
            self.isCalled = isCalled
            self.owner = owner
        }
    }

    package var publication: String
    /// INSERT, UPDATE, DELETE and TRUNCATE, as far as it has them; empty: there is no publication.
    package var operations: Set<String> = []
    package var tables: [Table] = []
    package var unpublishable: [Unpublishable] = []
    package var triggers: [Trigger] = []
    package var casts: [Cast] = []
    /// `pg_logical_emit_message`, as REVOKE names it, where PUBLIC may call it.
    package var openEmitters: [String] = []
    package var capture: CaptureConfiguration
    /// Names of tables that match `source.tables`, for a list that leaves the others out.
    package var matches: [String] = []
    /// nil: NATS did not say.
    package var payloadLimit: Int?

    package init(publication: String, capture: CaptureConfiguration) {
        self.publication = publication
        self.capture = capture
    }

    /// What is wrong with what is published.
    package var findings: [Finding] {
        operationFindings + tables.flatMap { ofTable($0) } + unpublishable.map(neverPublished) + triggers.map(emits) + emitters + casts.map(runsCode)
    }

    private static let allOperations = ["insert", "update", "delete", "truncate"]

    private var operationFindings: [Finding] {
        guard !operations.isEmpty else { return [] }
        let missing = Self.allOperations.filter { !operations.contains($0) }
        guard !missing.isEmpty else { return [] }
        return [
            Finding(
                .publicationLeavesOut, "publication \(publication)",
                "publication \(publication) leaves out \(missing.map { $0.uppercased() }.joined(separator: ", "))",
                why: "these changes are not published",
                paste: .sql("ALTER PUBLICATION \(quoteIdentifier(publication)) SET (publish = 'insert, update, delete, truncate')", isByHand: true))
        ]
    }

    private func ofTable(_ table: Table) -> [Finding] {
        [leavesOut(table), withoutEntityID(table), identityNothing(table), tooWide(table), encoded(table)].compactMap { $0 }
    }

    private func leavesOut(_ table: Table) -> Finding? {
        guard table.hasRowFilter || table.hasColumnList else { return nil }
        let what = [table.hasRowFilter ? "rows (WHERE)" : nil, table.hasColumnList ? "columns" : nil].compactMap { $0 }
        let name = quoteIdentifier(publication)
        return Finding(
            .publicationLeavesOut, table.name, "publication \(publication) leaves out \(what.joined(separator: " and ")) of \(table.name)",
            why: "they are not published",
            paste: .sql(
                "BEGIN", "ALTER PUBLICATION \(name) DROP TABLE \(table.name)", "ALTER PUBLICATION \(name) ADD TABLE \(table.name)", "COMMIT",
                isByHand: true))
    }

    /// The columns that `entity_id` takes, as an event does; nil: those of the identity itself.
    private func entityID(_ table: Table) -> [String]? {
        if let chosen = capture.identities[table.plainName], !chosen.isEmpty { return chosen }
        if table.columns.contains("id") { return ["id"] }
        return table.primaryKey.isEmpty ? nil : table.primaryKey
    }

    private func withoutEntityID(_ table: Table) -> Finding? {
        guard operations.contains("delete"), table.replicaIdentity != "n", let identity = table.identity, !identity.isEmpty,
            let columns = entityID(table)
        else { return nil }
        let missing = columns.filter { !identity.contains($0) }
        guard !missing.isEmpty else { return nil }
        let index = table.indexes.first { Set(columns).isSubset(of: Set($0.columns)) }
        let way = index.map { "USING INDEX \($0.name)" } ?? "FULL"
        return Finding(
            .identityWithoutEntityID, table.name,
            "the replica identity of \(table.name) has not the column \(missing.joined(separator: ", ")), from which entity_id comes",
            why: "DELETE events have no entity_id", paste: .sql("ALTER TABLE \(table.name) REPLICA IDENTITY \(way)"))
    }

    /// Where UPDATE or DELETE are published the table has a graver finding.
    private func identityNothing(_ table: Table) -> Finding? {
        guard table.replicaIdentity == "n", operations.isDisjoint(with: ["update", "delete"]), !operations.isEmpty else { return nil }
        return Finding(
            .identityNothing, table.name, "\(table.name) has REPLICA IDENTITY NOTHING",
            why: "UPDATE and DELETE fail in the application as soon as the publication has these operations",
            paste: .sql("ALTER TABLE \(table.name) REPLICA IDENTITY \(table.primaryKey.isEmpty ? "FULL" : "DEFAULT")"))
    }

    /// What nats-server should take at most, by its authors.
    private static let largestPayload = 64 * 1024 * 1024

    private func tooWide(_ table: Table) -> Finding? {
        guard let payloadLimit, let width = table.bytesPerRow, width > Double(payloadLimit / 2) else { return nil }
        var wanted = payloadLimit
        while Double(wanted) < 4 * width, wanted < Self.largestPayload { wanted *= 2 }
        return Finding(
            .rowsTooWide, table.name,
            "a row of \(table.name) has \(Int(width)) bytes on average, and nats-server's max_payload is \(payloadLimit) bytes",
            why: "an event over max_payload is poison", paste: .natsServer("max_payload: \(wanted)"))
    }

    private func encoded(_ table: Table) -> Finding? {
        let entity = capture.entities[table.plainName] ?? SubjectFilter.entity(ofTable: table.tableName, prefixes: capture.tablePrefixes)
        guard !entity.utf8.allSatisfy(Self.isPlain) else { return nil }
        let plain = String(decoding: entity.utf8.filter(Self.isPlain), as: UTF8.self)
        return Finding(
            .namesEncoded, table.name, "the entity \(entity) of \(table.name) is encoded in subjects",
            why: "consumers must subscribe to the encoded name",
            paste: .setting("events.entities.\"\(table.plainName)\" = \"\(plain.isEmpty ? "Entity" : plain)\""))
    }

    /// As subjects have it.
    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private func neverPublished(_ relation: Unpublishable) -> Finding {
        let kind = relation.isUnlogged ? "an unlogged table" : "a foreign table"
        let list = matches.map { "\"\($0)\"" }.joined(separator: ", ")
        return Finding(
            .neverPublished, relation.name, "\(relation.name) matches source.tables, but is \(kind)", why: "PostgreSQL never publishes such a table",
            paste: relation.isUnlogged ? .sql("ALTER TABLE \(relation.name) SET LOGGED", isByHand: true) : .setting("source.tables = [\(list)]"))
    }

    private func emits(_ trigger: Trigger) -> Finding {
        Finding(
            .triggerEmits, trigger.table,
            "trigger \(trigger.name) of the published table \(trigger.table) calls \(trigger.notifies ? "pg_notify for fraiseql_events" : "slotstream.emit_event")",
            why: trigger.notifies ? "Slotstream does not hear pg_notify, and the row is an event already" : "each row is announced twice",
            paste: .sql("ALTER TABLE \(trigger.table) DISABLE TRIGGER \(trigger.name)", isByHand: true))
    }

    private var emitters: [Finding] {
        guard !openEmitters.isEmpty, let prefix = capture.messagePrefixes.sorted().first else { return [] }
        let statements = openEmitters.map { "REVOKE EXECUTE ON FUNCTION \($0) FROM PUBLIC" }
        return [
            Finding(
                .anybodyEmits, "pg_logical_emit_message", "every role may emit logical messages with the prefix \(prefix)",
                why: "every role can publish an event of every entity",
                paste: .sql(Paste.SQL(statements: statements, isByHand: true)))
        ]
    }

    private func runsCode(_ cast: Cast) -> Finding {
        let way =
            cast.owner.map { owner in
                Paste.sql(
                    "ALTER TYPE \(cast.type) OWNER TO \(quoteIdentifier(owner))",
                    "ALTER FUNCTION \(cast.function) OWNER TO \(quoteIdentifier(owner))", isByHand: true)
            } ?? .sql("DROP CAST (\(cast.type) AS json)", isByHand: true)
        return Finding(
            .castRunsCode, "type \(cast.type)", "the cast of \(cast.type) to json is the code of an ordinary user (\(cast.function))",
            why: cast.isCalled ? "the code runs for each value, and can read all values" : "the values are published as text", paste: way)
    }
}
