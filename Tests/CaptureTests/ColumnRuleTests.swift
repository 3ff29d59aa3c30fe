import Foundation
import Testing
import WAL
import WireMessages

@testable import Capture

/// Columns that are left out or masked: in none of an event's places is their value.
@Suite struct ColumnRuleTests {
    private static func hmac(_ text: String) -> String {
        var code = [UInt8](repeating: 0, count: 32)
        let isComputed = Array(text.utf8).withUnsafeBytes { text in
            code.withUnsafeMutableBytes { CaptureFunctions.cryptographic.hmacSHA256?(text, $0) }
        }
        #expect(isComputed == true)
        return "\"" + code.map { String(format: "%02x", $0) }.joined() + "\""
    }

    private static let setup = """
        CREATE TABLE tb_user (id int PRIMARY KEY, email text, phone text, secret text, note text);
        ALTER TABLE tb_user REPLICA IDENTITY FULL;
        """

    private static let changes = """
        INSERT INTO tb_user VALUES (1, 'a@b', 'tel555', 's3cret', 'n'); INSERT INTO tb_user VALUES (2, NULL, NULL, NULL, NULL);
        UPDATE tb_user SET email = 'c@d', phone = 'tel556', secret = 's4cret' WHERE id = 1; DELETE FROM tb_user WHERE id = 1;
        """

    private static let rules = CaptureConfiguration(
        subjectTemplate: "{prefix}.{entity}.{column:secret}.{column:email}.{operation}",
        excludedColumns: ["public.tb_user": ["secret"]],
        masks: ["public.tb_user": ["email": .hmac, "phone": .text("***")]])

    @Test func hideWhatTheyNameInEveryPlace() throws {
        let events = try CapturedChanges(setup: Self.setup, changes: Self.changes).events(Self.rules)
        try #require(events.count == 4)
        for event in events {
            // None that a position, an id or a time could hold by chance.
            for value in ["a@b", "c@d", "tel555", "tel556", "cret"] {
                #expect(!event.text.contains(value) && !event.subject.contains(value))
            }
        }
        let old = #"{"id":1,"email":\#(Self.hmac("a@b")),"phone":"***","note":"n"}"#
        let new = #"{"id":1,"email":\#(Self.hmac("c@d")),"phone":"***","note":"n"}"#
        #expect(try events[0].value("entity") == old)
        #expect(try events[1].value("entity") == #"{"id":2,"email":null,"phone":null,"note":null}"#)
        #expect(try events[2].value("entity") == new && events[2].value("before") == old)
        // That a masked value has changed is told, and what it has become, masked.
        #expect(
            try events[2].value("changes")
                == #"{"email":{"old":\#(Self.hmac("a@b")),"new":\#(Self.hmac("c@d"))},"phone":{"old":"***","new":"***"}}"#
        )
        #expect(try events[3].value("entity") == new)
        let masked = Self.hmac("a@b").dropFirst().dropLast()
        #expect(events[0].subject == "fraiseql.mutation.User.%unknown.\(masked).INSERT")
        #expect(events[1].subject == "fraiseql.mutation.User.%unknown.%null.INSERT")
        // Of an UPDATE with its old row the new row's text, of a DELETE the old row's.
        let maskedNew = Self.hmac("c@d").dropFirst().dropLast()
        #expect(events[2].subject == "fraiseql.mutation.User.%unknown.\(maskedNew).UPDATE")
        #expect(events[3].subject == "fraiseql.mutation.User.%unknown.\(maskedNew).DELETE")
    }

    @Test func doNotShiftOrdinals() throws {
        let captured = try CapturedChanges(setup: Self.setup, changes: Self.changes)
        let plain = try captured.events()
        #expect(try captured.events(Self.rules).map(\.messageID) == plain.map(\.messageID))
    }

    /// Neither the value itself nor anything else may stand where its digest belongs.
    @Test(arguments: [
        CaptureConfiguration(masks: ["public.tb_x": ["secret": .hmac]]),
        CaptureConfiguration(subjectTemplate: "{prefix}.{column:secret}", masks: ["public.tb_x": ["secret": .hmac]]),
        CaptureConfiguration(identities: ["public.tb_x": ["secret"]], masks: ["public.tb_x": ["secret": .hmac]], poisonPolicy: .reference),
        CaptureConfiguration(format: .fraiseql), CaptureConfiguration(format: .fraiseql, poisonPolicy: .quarantine),
    ])
    func withoutItsDigestThereIsNoEvent(_ configuration: CaptureConfiguration) throws {
        let columns: [WireMessage.Column] = [.init(name: "id", isKey: true), .init(name: "secret")]
        let outcome = try Outcome(
            of: [
                WireMessage.begin(0x100), WireMessage.relation(name: "tb_x", columns: columns),
                WireMessage.insert([.text("1"), .text("s3cret")]), WireMessage.commit(0x100),
            ], configuration, functions: .failing)
        #expect(outcome.events.isEmpty)
        #expect(outcome.error == .digestUnavailable(relation: "public.tb_x", commitLSN: LSN(0x100)))
    }

    @Test func hideInTheIdentity() throws {
        let captured = try CapturedChanges(
            setup: "CREATE TABLE tb_x (a text, b text, PRIMARY KEY (a, b));",
            changes: "INSERT INTO tb_x VALUES ('1,', '2');")
        func identity(_ configuration: CaptureConfiguration) throws -> String? {
            try captured.events(configuration).first?.value("entity_id")
        }
        #expect(try identity(CaptureConfiguration()) == #""1%2C,2""#)
        #expect(
            try identity(CaptureConfiguration(masks: ["public.tb_x": ["a": .hmac]]))
                == "\"" + Self.hmac("1,").dropFirst().dropLast() + ",2\"")
        // The rest of an identity would be another's.
        #expect(try identity(CaptureConfiguration(excludedColumns: ["public.tb_x": ["a"]])) == nil)
    }

    /// One row of a table with a key and one other column, under rules.
    private static func event(
        _ configuration: CaptureConfiguration, schema: String = "public", table: String, column: String
    ) throws -> RecordedEvent {
        let columns: [WireMessage.Column] = [.init(name: "id", isKey: true), .init(name: column)]
        let outcome = try Outcome(
            of: [
                WireMessage.begin(0x100), WireMessage.relation(schema: schema, name: table, columns: columns),
                WireMessage.insert([.text("1"), .text("s3cret")]), WireMessage.commit(0x100),
            ], configuration)
        return try #require(outcome.events.first)
    }

    /// Swift takes the two for one, PostgreSQL does not.
    private static let spellings = ["\u{E9}", "e\u{301}"]

    @Test func goByTheBytesOfATablesAndAColumnsName() throws {
        for (place, spelling) in Self.spellings.enumerated() {
            let table = "public.tb_\(spelling)"
            for rules in [
                CaptureConfiguration(
                    entities: [table: "Chosen"], identities: [table: [spelling]], excludedColumns: [:],
                    masks: [table: [spelling: .text("***")]]),
                CaptureConfiguration(
                    entities: [table: "Chosen"], identities: [table: ["id"]], excludedColumns: [table: [spelling]]),
            ] {
                let ruled = try Self.event(rules, table: "tb_\(spelling)", column: spelling)
                #expect(!ruled.text.contains("s3cret"))
                #expect(try ruled.value("entity_type") == #""Chosen""#)
                let otherSpelling = Self.spellings[1 - place]
                let otherColumn = try Self.event(rules, table: "tb_\(spelling)", column: otherSpelling)
                #expect(otherColumn.text.contains("s3cret"))
                let otherTable = try Self.event(rules, table: "tb_\(otherSpelling)", column: spelling)
                #expect(otherTable.text.contains("s3cret"))
                #expect(try otherTable.value("entity_id") == #""1""# && otherTable.value("entity_type") != #""Chosen""#)
            }
        }
    }

    @Test func holdForEveryTableWhoseJoinedNameTheyGive() throws {
        let rules = CaptureConfiguration(excludedColumns: ["a.b.c": ["secret"]])
        for (schema, table) in [("a.b", "c"), ("a", "b.c")] {
            #expect(
                try !Self.event(rules, schema: schema, table: table, column: "secret").text.contains("s3cret"),
                "\(schema) \(table)")
        }
    }

    @Test func untouchedToastStaysUnsaidWhereTheColumnIsLeftOut() throws {
        let captured = try CapturedChanges(
            setup: "CREATE TABLE tb_x (id int PRIMARY KEY, a int, big text, bigger text);",
            changes: """
                INSERT INTO tb_x SELECT 1, 1, v, v FROM (SELECT string_agg(md5(i::text), '') v FROM generate_series(1, 400) i) s;
                UPDATE tb_x SET a = 2;
                """)
        let events = try captured.events(
            CaptureConfiguration(
                excludedColumns: ["public.tb_x": ["big"]], masks: ["public.tb_x": ["bigger": .hmac]]))
        try #require(events.count == 2)
        #expect(try events[1].value("entity") == #"{"id":1,"a":2}"#)
        #expect(try events[1].value("unchanged") == #"["bigger"]"#)
    }
}
