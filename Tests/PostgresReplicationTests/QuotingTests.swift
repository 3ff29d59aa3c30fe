import PostgresReplication
import PrivateServers
import Testing
import WAL

@Suite struct QuotingTests {
    private static let hostile = [
        "", "plain", "Upper", "with \"quotes\"", "with 'quotes'", "''", "\"\"", "back\\slash", "\\'", "\\\\''\"",
        "new\nline\r\n",
        "$$", "é😀", "'\u{301}", "\"\u{301}", "\\\u{301}", "; DROP TABLE x; --", "/*", "\u{200D}'", "E'x'", "{\"a\":1}",
    ]

    @Test(arguments: hostile)
    func aLiteralIsReadBackAsItWas(value: String) throws {
        let connection = try PostgresServer.shared.get().sql()
        for conforming in ["on", "off"] {
            try connection.execute("SET standard_conforming_strings = \(conforming); SET escape_string_warning = off")
            #expect(try connection.query("SELECT\(quoteLiteral(value)) AS x") == [[value]])
        }
    }

    @Test(arguments: hostile.filter { !$0.isEmpty })
    func anIdentifierIsReadBackAsItWas(name: String) throws {
        let connection = try PostgresServer.shared.get().sql()
        let rows = try connection.query(
            "WITH t AS (SELECT 1 AS \(quoteIdentifier(name))) SELECT jsonb_object_keys(to_jsonb(t)) FROM t")
        #expect(rows == [[name]])
    }

    @Test func replicationCommandsTakeHostileNamesAndValues() throws {
        let connection = try PostgresServer.shared.get().walsender()
        for name in ["x\" LOGICAL pgoutput; --", "a'b", "back\\slash", "Upper"] {
            let error = failure { () throws(PostgresError) in
                _ = try connection.createLogicalSlot(name, temporary: true)
            }
            // The server read the whole name, and no slot has such a one; the grammar of an older minor version's walsender knows no quote in a name.
            let expected = name.contains("\"") ? ["42601", "42602"] : ["42602"]
            #expect(expected.contains(error?.sqlState ?? ""), "\(name): \(String(describing: error))")
        }
        let slot = uniqueName("quoting")
        var streaming = connection
        for value in ["1'", "x\\", "'; --", "1\n2"] {
            // An error takes a session's temporary slots away.
            _ = try streaming.createLogicalSlot(slot, temporary: true)
            let error = failure { () throws(PostgresError) in
                try streaming.startReplication(slot: slot, at: .invalid, options: [("proto_version", value)])
            }
            guard case .server(_, _, let message, _, _, _) = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(message.contains("invalid proto_version"), "\(message)")
        }
    }
}
