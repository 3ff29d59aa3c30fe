import Crypto
import Foundation
import Testing

@testable import Capture

/// Columns that are left out or masked: in none of an event's places is their value.
@Suite struct ColumnRuleTests {
    private static func hmac(_ text: String) -> String {
        let code = HMAC<SHA256>.authenticationCode(
            for: Data(text.utf8), using: SymmetricKey(data: CaptureFunctions.key))
        return "\"" + code.map { String(format: "%02x", $0) }.joined() + "\""
    }

    private static let setup = """
        CREATE TABLE tb_user (id int PRIMARY KEY, email text, phone text, secret text, note text);
        ALTER TABLE tb_user REPLICA IDENTITY FULL;
        """

    private static let changes = """
        INSERT INTO tb_user VALUES (1, 'a@b', '555', 's3cret', 'n'); INSERT INTO tb_user VALUES (2, NULL, NULL, NULL, NULL);
        UPDATE tb_user SET email = 'c@d', phone = '556', secret = 's4cret' WHERE id = 1; DELETE FROM tb_user WHERE id = 1;
        """

    private static let rules = CaptureConfiguration(
        subjectTemplate: "{prefix}.{entity}.{column:secret}.{column:email}.{operation}",
        excludedColumns: ["public.tb_user": ["secret"]],
        masks: ["public.tb_user": ["email": .hmac, "phone": .text("***")]])

    @Test func hideWhatTheyNameInEveryPlace() throws {
        let events = try CapturedChanges(setup: Self.setup, changes: Self.changes).events(Self.rules)
        try #require(events.count == 4)
        for event in events {
            for value in ["a@b", "c@d", "555", "556", "cret"] {
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
    }

    @Test func doNotShiftOrdinals() throws {
        let captured = try CapturedChanges(setup: Self.setup, changes: Self.changes)
        let plain = try captured.events()
        #expect(try captured.events(Self.rules).map(\.messageID) == plain.map(\.messageID))
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
