import CLibPQ

extension ReplicationConnection {
    /// Has a database without an encoding (SQL_ASCII) send its bytes as they are.
    ///
    /// There is nothing to convert there, only to refuse: PostgreSQL ends the stream at bytes that are no UTF-8, without saying where. Sent as they are
    /// they can be told, or left out, row by row. Before `startReplication`; does nothing on other databases.
    public borrowing func takeBytesOfNoEncoding() throws(PostgresError) {
        guard let encoding = PQparameterStatus(connection.handle, "server_encoding"),
            String(cString: encoding) == "SQL_ASCII"
        else { return }
        _ = try connection.rows(
            "SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false)", deadline: Deadline(after: commandTimeout))
    }
}
