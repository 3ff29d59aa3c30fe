import PostgresReplication
import PrivateServers
import Testing

@Suite struct SessionSettingsTests {
    let server: PostgresServer

    init() throws {
        server = try PostgresServer.shared.get()
    }

    private static let pinned: [(name: String, value: String)] = [
        ("client_encoding", "UTF8"), ("TimeZone", "UTC"), ("DateStyle", "ISO, DMY"), ("IntervalStyle", "postgres"),
        ("extra_float_digits", "3"), ("bytea_output", "hex"), ("quote_all_identifiers", "off"), ("array_nulls", "on"),
        ("xmloption", "content"), ("transform_null_equals", "off"), ("default_transaction_read_only", "off"),
        ("default_transaction_isolation", "read committed"), ("synchronous_commit", "local"), ("jit", "off"),
        ("exit_on_error", "off"),
        ("client_min_messages", "notice"), ("statement_timeout", "0"), ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"), ("idle_session_timeout", "0"), ("tcp_user_timeout", "0"),
        ("search_path", "public"), ("wal_sender_timeout", "3s"),
    ]

    /// The role's own settings are all different.
    @Test func settingsArePinnedWhateverTheRoleIsSetTo() throws {
        let hostile = "options='-c work_mem=12345kB -c DateStyle=SQL'"
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

    /// What a `money` is worth is the database's to say, whatever the role carries; where the database says nothing, the session's stays.
    @Test func moneyIsWrittenAsTheDatabaseHasIt() throws {
        let admin = try server.sql()
        try admin.execute("CREATE DATABASE tills")
        try admin.execute("ALTER DATABASE tills SET lc_monetary = 'POSIX'")
        let conninfo = server.conninfo("dbname=tills", user: "german")
        #expect(try SQLConnection(ConnectionParameters(conninfo: conninfo)).query("SHOW lc_monetary") == [["POSIX"]])
        #expect(try ReplicationConnection(ConnectionParameters(conninfo: conninfo)).query("SHOW lc_monetary") == [["POSIX"]])
        // A locale that the host lacks costs no session.
        try admin.execute(
            "UPDATE pg_db_role_setting SET setconfig = '{lc_monetary=xx_XX}' WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = 'tills')")
        #expect(try SQLConnection(ConnectionParameters(conninfo: conninfo)).query("SHOW lc_monetary") == [["C"]])
    }

    /// The database's owner may set it; operators are found by it.
    @Test func anothersOperatorsAreNotFoundBeforePostgresOwn() throws {
        let admin = try server.sql()
        try admin.execute("CREATE DATABASE trapped")
        try admin.execute("ALTER DATABASE trapped SET search_path = trap, public, pg_catalog")
        let owner = try SQLConnection(ConnectionParameters(conninfo: server.conninfo("dbname=trapped")))
        try owner.execute(
            """
            CREATE SCHEMA trap;
            CREATE FUNCTION trap.sprung(name, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'sprung'; END $$;
            CREATE OPERATOR trap.= (LEFTARG = name, RIGHTARG = text, FUNCTION = trap.sprung)
            """)
        let ours = try SQLConnection(ConnectionParameters(conninfo: server.conninfo("dbname=trapped", user: "german")))
        #expect(try ours.slot(named: "none") == nil)
        #expect(try ours.query("SELECT 'a'::name = 'a'::text") == [["t"]])
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
