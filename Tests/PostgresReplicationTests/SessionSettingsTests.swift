import PostgresReplication
import Testing

@Suite struct SessionSettingsTests {
    let server: PostgresServer

    init() throws {
        server = try PostgresServer.shared.get()
    }

    private static let pinned: [(name: String, value: String)] = [
        ("client_encoding", "UTF8"), ("TimeZone", "UTC"), ("DateStyle", "ISO, DMY"), ("IntervalStyle", "postgres"),
        ("extra_float_digits", "3"), ("bytea_output", "hex"), ("lc_monetary", "C"), ("idle_session_timeout", "0"),
        ("wal_sender_timeout", "3s"),
    ]

    /// The role's own settings are all different.
    @Test func settingsArePinnedWhateverTheRoleIsSetTo() throws {
        let hostile = "options='-c lc_monetary=POSIX -c work_mem=12345kB -c DateStyle=SQL'"
        let connection = try ReplicationConnection(
            ConnectionParameters(conninfo: server.conninfo(hostile, user: "german")), walSenderTimeoutMilliseconds: 3000
        )
        for (name, value) in Self.pinned {
            let shown = try connection.query("SHOW \(name)")
            // Only the style is ours; the order of day and month concerns what is read, not what is written.
            #expect(shown == [[value]] || name == "DateStyle" && shown[0][0]?.hasPrefix("ISO, ") == true, "\(name)")
        }
        #expect(try connection.query("SHOW work_mem") == [["12345kB"]])
    }

    @Test func anOrdinarySessionHasTheSameSettings() throws {
        let connection = try SQLConnection(ConnectionParameters(conninfo: server.conninfo(user: "german")))
        let row = try connection.query(
            "SELECT now()::text ~ '[+]00$', '\\x00ff'::bytea::text, interval '1 day 1 hour'::text, 0.1::float8::text")
        #expect(row == [["t", "\\x00ff", "1 day 01:00:00", "0.1"]])
    }

    @Test func theServersTimeoutStaysUnlessAskedFor() throws {
        let connection = try server.walsender()
        #expect(try connection.query("SHOW wal_sender_timeout") == [["1min"]])
    }

    @Test func theUsersApplicationNameGoesFirst() throws {
        let ours = try SQLConnection(server.parameters())
        #expect(try ours.query("SHOW application_name") == [["slotstream"]])
        let theirs = try SQLConnection(server.parameters("application_name=theirs"))
        #expect(try theirs.query("SHOW application_name") == [["theirs"]])
    }

    @Test func anOrdinarySessionStaysOneWhateverTheStringSays() throws {
        let connection = try SQLConnection(server.parameters("replication=database"))
        #expect(try connection.query("SELECT $1::int + 1", ["41"]) == [["42"]])
    }
}
