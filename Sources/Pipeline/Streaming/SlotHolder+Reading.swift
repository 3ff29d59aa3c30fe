import History
import PostgresReplication

extension SlotHolder {
    /// Asks PostgreSQL, and this machine, who it is.
    init(pid: Int32, over sql: borrowing SQLConnection) throws(PostgresError) {
        self.init(pid: pid, client: try sql.client(ofBackend: pid))
        guard let address = client?.address, let port = client?.port else { return }
        localProcess = LocalProcess.connected(from: address, port: port)
    }
}
