import CLibPQ

/// One `PGresult`, cleared when this goes.
struct LibPQResult: ~Copyable {
    private let pointer: OpaquePointer

    /// Takes ownership of `pointer`.
    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
    }

    deinit {
        PQclear(pointer)
    }

    var status: ExecStatusType { PQresultStatus(pointer) }

    /// `COPY 0`, `CREATE PUBLICATION`; empty when the command did not succeed.
    var commandTag: String {
        guard let tag = PQcmdStatus(pointer) else { return "" }
        return String(cString: tag)
    }

    /// Gives it to somebody who looks at its values.
    func lend(_ body: (OpaquePointer) -> Void) { body(pointer) }

    /// All rows as text; nil is SQL NULL.
    func rows() -> [[String?]] {
        let columns = PQnfields(pointer)
        return (0..<PQntuples(pointer)).map { row in
            (0..<columns).map { column in value(row, column) }
        }
    }

    /// What the server refused `command` with; or, when it said nothing, that the connection is lost.
    func error(command: String) -> PostgresError {
        guard let sqlState = Self.field(LIBPQ_FIELD_SQLSTATE, of: pointer) else {
            return .connectionLost(message: LibPQConnection.lossMessage(Self.message(of: pointer)))
        }
        if sqlState == "58P01", let routine = Self.field(LIBPQ_FIELD_SOURCE_FUNCTION, of: pointer),
            Self.walReadingRoutines.contains(routine)
        {
            return .walRemoved(
                message: Self.field(LIBPQ_FIELD_MESSAGE, of: pointer) ?? Self.message(of: pointer), command: command)
        }
        return .server(
            sqlState: sqlState,
            severity: Self.field(LIBPQ_FIELD_SEVERITY, of: pointer) ?? "ERROR",
            message: Self.field(LIBPQ_FIELD_MESSAGE, of: pointer) ?? Self.message(of: pointer),
            detail: Self.field(LIBPQ_FIELD_DETAIL, of: pointer),
            hint: Self.field(LIBPQ_FIELD_HINT, of: pointer),
            command: command)
    }

    /// What in the server says 58P01 of a WAL segment and of nothing else: a walsender, a decoding function, both for a segment that goes meanwhile.
    ///
    /// The message is in the server's language, the routine's name is not.
    private static let walReadingRoutines: Set<String> = ["WalSndSegmentOpen", "wal_segment_open", "CheckXLogRemoved"]

    /// One field of an error or a notice, by its `LIBPQ_FIELD_…` code; nil when it has none.
    static func field(_ code: Int32, of result: OpaquePointer) -> String? {
        PQresultErrorField(result, code).map { LibPQConnection.text($0) }
    }

    /// The whole text of an error or a notice.
    static func message(of result: OpaquePointer) -> String {
        PQresultErrorMessage(result).map { LibPQConnection.trimmed(LibPQConnection.text($0)) } ?? ""
    }

    private func value(_ row: Int32, _ column: Int32) -> String? {
        guard PQgetisnull(pointer, row, column) == 0, let bytes = PQgetvalue(pointer, row, column) else { return nil }
        let buffer = UnsafeRawBufferPointer(start: bytes, count: Int(PQgetlength(pointer, row, column)))
        return String(decoding: buffer, as: UTF8.self)
    }
}
