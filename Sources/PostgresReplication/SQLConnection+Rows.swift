import CLibPQ

/// One row of an answer, as long as the call lasts that it is lent to.
public struct BorrowedRow: ~Copyable {
    private let result: OpaquePointer
    public let columnCount: Int

    fileprivate init(_ result: OpaquePointer) {
        self.result = result
        columnCount = Int(PQnfields(result))
    }

    /// A value's text; nil is SQL NULL. Valid as long as the row is.
    public func value(_ column: Int) -> UnsafeRawBufferPointer? {
        guard PQgetisnull(result, 0, Int32(column)) == 0, let bytes = PQgetvalue(result, 0, Int32(column)) else { return nil }
        return UnsafeRawBufferPointer(start: bytes, count: Int(PQgetlength(result, 0, Int32(column))))
    }

    public func text(_ column: Int) -> String? { value(column).map { String(decoding: $0, as: UTF8.self) } }
}

extension SQLConnection {
    /// Runs one statement and lends its rows one by one, as they come: however many there are, one is in memory.
    ///
    /// - Throws: `PostgresError`, as `query`.
    public func forEachRow(_ sql: String, timeout: Duration, _ body: (borrowing BorrowedRow) -> Void) throws(PostgresError) {
        do throws(PostgresError) {
            try connection.eachRow(of: sql, deadline: Deadline(after: timeout)) { body(BorrowedRow($0)) }
        } catch {
            if case .timedOut = error { CancelRequest.send(for: connection.handle) }
            throw error
        }
    }
}
