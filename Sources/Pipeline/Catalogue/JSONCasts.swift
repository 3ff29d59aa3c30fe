import Capture
import PostgresReplication
import Threads
import WAL

/// Calls the casts to json that `to_json` would call. A cast is code: whose it is decides whether it is called, and over which connection.
///
/// By default only what no ordinary user can have written or can exchange is called: type and function are a superuser's, or the
/// function is written in C, as extensions have it; then only a superuser can make or replace the cast (it takes the owner of the type,
/// or of json). Others are called where the operator names the type, over a second connection, whose role can do nothing to replication.
struct JSONCasts: ~Copyable, Sendable {
    /// SQL: a cast, of a type `t` by a function `f` in a language `l`, that no ordinary user has a hand in. Ranges are made of other types, which may be domains with checks of their own.
    static let isTrusted = """
        t.typtype IN ('b', 'e') AND EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.oid = t.typowner AND o.rolsuper)
        AND (l.lanname IN ('c', 'internal') OR EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.oid = f.proowner AND o.rolsuper))
        """

    /// A cast that did not end in time is left alone for this long: its values go out as text.
    private static let pause = Duration.seconds(60)
    /// What a cast may take; shorter than what the server waits for a status.
    private static let timeout = Duration.milliseconds(1500)
    /// Types with a pause, and types whose failure was told, at most.
    private static let typeLimit = 1000

    /// A cast as the catalogue has it now.
    private struct Cast {
        /// Schema and name of its type, quoted.
        var typeName: String
        var isNamed: Bool
        var isTrusted: Bool
    }

    private let configuration: StreamerConfiguration.Casts
    /// Told once a type, of what is not called or has failed.
    private let tell: @Sendable (String) -> Void
    private var connection: SQLConnection?
    private var pausedUntil: [UInt32: Instant] = [:]
    private var told: Set<String> = []

    init(_ configuration: StreamerConfiguration.Casts, tell: @escaping @Sendable (String) -> Void) {
        self.configuration = configuration
        self.tell = tell
    }

    /// The types whose casts the operator named, `schema.type`.
    var named: [String] { configuration.types }

    /// Tells of a type whose cast is not called.
    mutating func withheld(_ typeName: String) {
        tellOnce(
            typeName,
            "values of the type \(typeName) are published as text: the cast to json is the code of an ordinary user. To call the cast, add the type to events.casts and set source.cast_url_file")
    }

    /// A value's text cast to its type and that to json, as the database does it now.
    ///
    /// - Parameter sql: The ordinary connection.
    /// - Throws: what a connection throws that is lost; never what the server said of the value.
    mutating func json(
        of text: String, castFrom typeOID: UInt32, over sql: borrowing SQLConnection
    ) throws(PostgresError) -> CastAnswer {
        guard let cast = try cast(from: typeOID, over: sql) else { return .unknown }
        if let until = pausedUntil[typeOID] {
            guard Instant.now >= until else { return .failed }
            pausedUntil[typeOID] = nil
        }
        guard cast.isNamed || cast.isTrusted else {
            withheld(cast.typeName)
            return .failed
        }
        let statement = "SELECT $1::\(cast.typeName)::pg_catalog.json::pg_catalog.text"
        let answer: IsolatedAnswer
        if cast.isNamed {
            let second = try takeSecond()
            do throws(PostgresError) {
                answer = try second.isolatedQuery(statement, [text], searchPath: nil, timeout: Self.timeout)
            } catch {
                // Users' code may end its own session. Where the server is there, that is what happened.
                _ = try sql.query("SELECT 1", timeout: CatalogueReader.timeout)
                failed(cast, with: "the end of its session")
                return .failed
            }
            connection = consume second
        } else {
            // What such a function names without a schema must not be found in one that others may create in.
            answer = try sql.isolatedQuery(
                statement, [text], searchPath: "pg_catalog, pg_temp", timeout: Self.timeout)
        }
        switch answer {
        case .rows(let rows):
            // to_json takes no NULL from a cast either.
            if let json = rows.first?.first.flatMap({ $0 }) { return .json(json) }
            failed(cast, with: "NULL")
        // Whatever the code: the user's function chooses it.
        case .refused(let sqlState):
            if sqlState == "57014", pausedUntil.count < Self.typeLimit { pausedUntil[typeOID] = .now + Self.pause }
            failed(cast, with: sqlState)
        }
        return .failed
    }

    /// The cast of a type to json through a function; nil: type or cast are gone.
    private func cast(
        from typeOID: UInt32, over sql: borrowing SQLConnection
    ) throws(PostgresError) -> Cast? {
        let rows = try sql.query(
            """
            SELECT pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(t.typname)),
                pg_catalog.concat(n.nspname, '.', t.typname) = ANY ($2::pg_catalog.text[]), (\(Self.isTrusted))
            FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            JOIN pg_catalog.pg_cast c ON c.castsource = t.oid AND c.casttarget = 'pg_catalog.json'::pg_catalog.regtype::pg_catalog.oid
                AND c.castmethod = 'f'
            JOIN pg_catalog.pg_proc f ON f.oid = c.castfunc JOIN pg_catalog.pg_language l ON l.oid = f.prolang
            WHERE t.oid = $1::pg_catalog.oid
            """, [String(typeOID), CatalogueReader.arrayLiteral(named)], timeout: CatalogueReader.timeout)
        guard let row = rows.first, row.count == 3, let typeName = row[0] else { return nil }
        return Cast(typeName: typeName, isNamed: row[1] == "t", isTrusted: row[2] == "t")
    }

    private mutating func failed(_ cast: Cast, with sqlState: String) {
        tellOnce(
            cast.typeName, "a value of the type \(cast.typeName) is published as text: the cast to json failed with \(sqlState)")
    }

    private mutating func tellOnce(_ typeName: String, _ sentence: String) {
        guard told.count < Self.typeLimit, told.insert(typeName).inserted else { return }
        tell(sentence)
    }

    /// Opens the second connection, if casts are named: what is wrong with it is told at the start.
    mutating func prepare() throws(PostgresError) {
        guard !named.isEmpty else { return }
        let second = try takeSecond()
        connection = consume second
    }

    /// The connection for casts that are users' code.
    private mutating func takeSecond() throws(PostgresError) -> SQLConnection {
        if let known = connection.take(), !known.waitForShutdownNotice(timeout: .zero) { return known }
        guard let parameters = configuration.connection else {
            throw .protocolViolation(message: "events.casts names types, but source.cast_url_file is not set")
        }
        let made = try SQLConnection(parameters, timeout: SlotLook.timeout, isReadOnly: true)
        let rows = try made.query(
            """
            SELECT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE (r.rolsuper OR r.rolreplication OR r.rolcreaterole)
                AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER'))
            """)
        guard rows.first?.first == "f" else {
            throw .connectionFailed(
                message:
                    "the role of source.cast_url_file has, or can get, SUPERUSER, REPLICATION or CREATEROLE: set a role without these rights",
                sqlState: "42501")
        }
        return made
    }
}
