import PGOutput
import Testing
import WAL

@testable import Capture

/// Rows of a backfill as events: byte for byte, and by the same rules as those of changes.
@Suite struct ReadEncoderTests {
    private static let previous = MessageID(
        systemID: Rig.identity.systemID, databaseOID: 5, timeline: 1, transactionID: TransactionID(735),
        position: Position(commitLSN: LSN(0x16B_3748), ordinal: 2))
    private static let place = BackfillPlace(run: 3, count: 17, tableOID: 16_384, filenode: 16_390, block: 4, offset: 9)
    private static let id = "7439120938471029384.5.1.735.00000000016B3748.2.b.3.17.16384.16390.4.9"
    private static let lsn = LSN(0x16B_3800)
    private static let readAt = PostgresTimestamp("2026-11-23T07:09:12.123456+00:00") ?? PostgresTimestamp(0)

    private static func relation(_ columns: [(name: String, type: UInt32)], key: Set<String> = ["id"]) -> Relation {
        Relation(
            id: RelationID(16_400), namespace: "public", name: "tb_order", replicaIdentity: .default,
            columns: columns.map { RelationColumn(isKey: key.contains($0.name), name: $0.name, typeOID: $0.type, typeModifier: -1) })
    }

    private static let order = relation([("id", 23), ("note", 25), ("paid", 16)])

    private struct Written {
        var events: [RecordedEvent] = []
        var asked: [[CastRequest]] = []
        var error: CaptureError?
        var table: ReadEncoder.Table
    }

    /// Writes each of the rows under the same id.
    private static func write(
        _ rows: [[String?]], of relation: Relation = order, _ configuration: CaptureConfiguration = CaptureConfiguration(),
        operation: String = "READ", catalogue: Catalogue = Catalogue(), answers: [CastAnswer]? = nil, payloadLimit: Int = 1_048_576
    ) throws -> Written {
        var encoder = try ReadEncoder(
            configuration: configuration, functions: .cryptographic, identity: Rig.identity, payloadLimit: payloadLimit)
        var types = TypeCatalogue()
        for row in catalogue.types.values { types.insert(row) }
        for oid in types.missing(relation.columns.map(\.typeOID)) { types.insertUnknown(oid) }
        let description = TableDescription(types: types)
        var entities: [String] = []
        let table = encoder.table(relation, description, operation: operation) { entity in
            entities.append(entity)
            return 7
        }
        var written = Written(table: table)
        encoder.begin(run: place.run, lsn: lsn, readAt: readAt)
        let read = ReadRowsTests.rows(rows, columnCount: relation.columns.count)
        var sink = RecordingSink()
        for index in rows.indices {
            let requests = encoder.requests(of: index, in: read, table)
            if !requests.isEmpty { written.asked.append(requests) }
            if let answers { encoder.remember(requests, answers) }
        }
        do throws(CaptureError) {
            for index in rows.indices { try encoder.write(index, of: read, table, behind: previous, place, readAt: readAt, into: &sink) }
        } catch {
            written.error = error
        }
        written.events = sink.events
        return written
    }

    // MARK: - Bodies

    @Test func aRowsEventHasNoTransaction() throws {
        let written = try Self.write([["1", "a \"b\"", nil], ["2", "", "t"]])
        try #require(written.events.count == 2 && written.error == nil)
        let start = #"{"id":"\#(Self.id)","entity_type":"Order","operation":"READ","entity_id":"#
        let end = #","backfill":{"id":"3","lsn":"0/16B3800"},"source":{"database":"shop","schema":"public","table":"tb_order"}}"#
        #expect(written.events[0].text == start + #""1","timestamp":"2026-11-23T07:09:12.123456+00:00","entity":{"id":1,"note":"a \"b\"","paid":null}"# + end)
        #expect(written.events[1].text == start + #""2","timestamp":"2026-11-23T07:09:12.123456+00:00","entity":{"id":2,"note":"","paid":true}"# + end)
        for event in written.events {
            #expect(event.subject == "fraiseql.mutation.Order.READ" && event.messageID == Self.id)
            let header = event.header
            #expect(header.position == Self.previous.position && header.run == 3 && header.count == 17 && header.isLast && header.kindIndex == 7)
            #expect(header.commitTimestamp == Self.readAt && header.transactionID == TransactionID(735))
            #expect(EventFormat.readRow(event.payload)?.backfill?.place == Self.place)
        }
        #expect(written.table.entity == "Order" && written.table.kindIndex == 7 && !written.table.isExcluded && !written.table.mayNeedCasts)
    }

    /// For consumers who know nothing of backfills.
    @Test func aRowThatIsToBeAnInsertStillSaysThatItWasRead() throws {
        let event = try #require(Self.write([["1", "x", "f"]], operation: "INSERT").events.first)
        #expect(event.subject == "fraiseql.mutation.Order.INSERT")
        #expect(
            event.text
                == #"{"id":"\#(Self.id)","entity_type":"Order","operation":"INSERT","entity_id":"1","timestamp":"2026-11-23T07:09:12.123456+00:00","entity":{"id":1,"note":"x","paid":false},"backfill":{"id":"3","lsn":"0/16B3800"},"source":{"database":"shop","schema":"public","table":"tb_order"}}"#
        )
    }

    @Test func cloudEventsHaveItAsTheirData() throws {
        let event = try #require(Self.write([["1", "x", "f"]], CaptureConfiguration(format: .cloudevents)).events.first)
        let data = try #require(Self.write([["1", "x", "f"]]).events.first).text
        #expect(
            event.text
                == #"{"specversion":"1.0","id":"\#(Self.id)","source":"/slotstream/7439120938471029384/shop","type":"Order.READ","subject":"1","time":"2026-11-23T07:09:12.123456+00:00","datacontenttype":"application/json","data":\#(data)}"#
        )
    }

    @Test func fraiseQLKnowsNoReads() throws {
        let id = "2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11"
        let relation = Self.relation([("id", 2_950), ("n", 23)])
        for (operation, type) in [("READ", "CUSTOM"), ("INSERT", "INSERT")] {
            let event = try #require(Self.write([[id, "5"]], of: relation, CaptureConfiguration(format: .fraiseql), operation: operation).events.first)
            #expect(event.subject == "fraiseql.mutation.Order.\(operation)")
            let rest =
                #","event_type":"\#(type)","entity_type":"Order","entity_id":"\#(id)","data":{"id":"\#(id)","n":5},"changes":null,"user_id":null,"tenant_id":null,"timestamp":"2026-11-23T07:09:12.123456+00:00","duration_ms":null,"seq":null,"actor_type":null,"acting_for":null,"schema_version":null,"cdc_source":"slotstream"}"#
            #expect(event.text.hasSuffix(rest) && event.text.hasPrefix(#"{"id":""#) && event.text.utf8.count == rest.utf8.count + 44)
        }
    }

    @Test func rulesForColumnsSubjectsAndIdentitiesAreThoseOfChanges() throws {
        let configuration = CaptureConfiguration(
            subjectPrefix: "p", subjectTemplate: "{prefix}.{schema}.{column:note}.{column:paid}.{operation}", entities: ["public.tb_order": "Sale"],
            identities: ["public.tb_order": ["note", "id"]], excludedColumns: ["public.tb_order": ["paid"]],
            masks: ["public.tb_order": ["note": .text("***")]])
        let event = try #require(Self.write([["1", "secret", "t"]], configuration).events.first)
        #expect(event.subject == "p.public.***.%unknown.READ" || event.subject == "p.public.%2A%2A%2A.%unknown.READ")
        #expect(try event.value("entity") == #"{"id":1,"note":"***"}"# && event.value("entity_id") == #""1,***""# && event.value("entity_type") == #""Sale""#)
        let null = try #require(Self.write([["1", nil, "t"]], configuration).events.first)
        #expect(null.subject == "p.public.%null.%unknown.READ")
        let hashed = try #require(Self.write([["1", "secret", "t"]], CaptureConfiguration(masks: ["public.tb_order": ["note": .hmac]])).events.first)
        #expect(!hashed.text.contains("secret") && hashed.text.contains(#""note":""#))
    }

    /// `exclude` may name READ alone; what it says of INSERT is of no weight for an event that is none.
    @Test func exclusionsNameTheOperation() throws {
        for (rule, operation, isExcluded) in [
            ("public.tb_order:READ", "READ", true), ("public.tb_order:INSERT", "READ", false), ("public.tb_order:INSERT", "INSERT", true),
            ("public.*", "READ", true), ("public.tb_other", "READ", false),
        ] {
            #expect(try Self.write([], CaptureConfiguration(exclusions: [rule]), operation: operation).table.isExcluded == isExcluded, "\(rule) \(operation)")
        }
    }

    // MARK: - What is no event

    private static func poison(_ written: Written) -> PoisonReason? {
        guard case .poison(let reason, let position, let relation) = written.error, position == previous.position, relation == "public.tb_order" else { return nil }
        return reason
    }

    @Test func aRowThatIsTooLargeIsPoisonAndNothingOfItGoesOut() throws {
        let whole = try Self.write([["1", "xxxxxxxxxx", nil]])
        let byteCount = try #require(whole.events.first).payload.count
        #expect(try Self.write([["1", "xxxxxxxxxx", nil]], payloadLimit: byteCount).error == nil)
        let cut = try Self.write([["1", "x", nil], ["1", "xxxxxxxxxx", nil], ["2", "x", nil]], payloadLimit: byteCount - 1)
        #expect(cut.events.count == 1)
        #expect(Self.poison(cut)?.name == "payload_too_large")
    }

    @Test func aTextThatIsNotUTF8IsPoison() throws {
        var encoder = try ReadEncoder(
            configuration: CaptureConfiguration(), functions: .cryptographic, identity: Rig.identity, payloadLimit: 1_000_000)
        let table = encoder.table(Self.order, TableDescription(), operation: "READ") { _ in 0 }
        var rows = ReadRows(columnCount: 3)
        rows.beginRow(ReadRows.TupleID(block: 0, offset: 1))
        for value in [Array("1".utf8), [0x61, 0xFF], Array("t".utf8)] { value.withUnsafeBytes { rows.append($0) } }
        rows.beginRow(ReadRows.TupleID(block: 0, offset: 2))
        for value in ["2", "fine", "t"] { Array(value.utf8).withUnsafeBytes { rows.append($0) } }
        encoder.begin(run: 1, lsn: Self.lsn, readAt: Self.readAt)
        var sink = RecordingSink()
        #expect(throws: CaptureError.poison(.notUTF8(column: "note"), at: Self.previous.position, relation: "public.tb_order")) {
            try encoder.write(0, of: rows, table, behind: Self.previous, Self.place, readAt: Self.readAt, into: &sink)
        }
        // It leaves nothing behind for the next.
        try encoder.write(1, of: rows, table, behind: Self.previous, Self.place, readAt: Self.readAt, into: &sink)
        #expect(try sink.events.count == 1 && sink.events[0].value("entity") == #"{"id":2,"note":"fine","paid":true}"#)
    }

    @Test func anIdentityThatCannotBeOneIsPoison() throws {
        let written = try Self.write([["1", "x", "t"]], CaptureConfiguration(format: .fraiseql))
        #expect(written.events.isEmpty && Self.poison(written) == .entityIDNotUUID)
    }

    // MARK: - Casts

    private static let shape: UInt32 = 20_000
    private static let shapes = relation([("id", 23), ("a", shape), ("b", shape)])
    private static let catalogue = Catalogue(types: [shape: TypeRow(oid: shape, name: "shape", kind: "b", jsonCast: .function)])

    @Test func valuesThatOnlyTheDatabaseCanCastAreAskedForOnce() throws {
        let written = try Self.write([["1", "x", "x"]], of: Self.shapes, catalogue: Self.catalogue, answers: [.json("[1]")])
        #expect(written.table.mayNeedCasts && written.asked == [[CastRequest(typeOID: Self.shape, text: "x")]])
        #expect(try written.events.first?.value("entity") == #"{"id":1,"a":[1],"b":[1]}"#)
    }

    /// A chunk's answers are kept until all of its rows are written.
    @Test func answersAreKeptForTheRowsThatFollow() throws {
        let written = try Self.write([["1", "x", nil], ["2", nil, "y"]], of: Self.shapes, catalogue: Self.catalogue, answers: [.json("[1]")])
        #expect(written.asked.map { $0.map(\.text) } == [["x"], ["y"]])
        #expect(try written.events.map { try $0.value("entity") } == [#"{"id":1,"a":[1],"b":null}"#, #"{"id":2,"a":null,"b":[1]}"#])
    }

    @Test func aValueThatNobodyAskedForIsNotWritten() throws {
        let written = try Self.write([["1", "x", nil]], of: Self.shapes, catalogue: Self.catalogue)
        #expect(written.events.isEmpty)
        #expect(written.error.map { "\($0)" }?.contains("whose types changed during the read") == true)
    }
}
