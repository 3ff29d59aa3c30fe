import Glibc
package import PostgresReplication

/// Who holds a slot, as far as PostgreSQL and this machine tell.
package struct SlotHolder: Sendable, Equatable {
    /// PostgreSQL's process.
    package var pid: Int32
    /// nil: PostgreSQL does not tell.
    package var client: BackendClient?
    /// Its client's process, where that is on this machine.
    package var localProcess: Int32?

    package init(pid: Int32, client: BackendClient? = nil, localProcess: Int32? = nil) {
        self.pid = pid
        self.client = client
        self.localProcess = localProcess
    }

    /// How whoever holds it is stopped.
    package var remedy: String {
        let ends = "end the connection in psql: SELECT pg_terminate_backend(\(pid))"
        guard let localProcess else { return "Stop the streamer, or the other program, that holds the slot. Or \(ends)" }
        return localProcess == getpid() ? "This process holds the slot: \(ends)" : "Stop that process: kill \(localProcess). Or \(ends)"
    }
}

extension SlotHolder: CustomStringConvertible {
    /// `PostgreSQL's process 4711 (slotstream of role app from 10.0.0.7:41234, process 815 of this machine, since 2026-…)`
    package var description: String {
        guard let client else { return "PostgreSQL's process \(pid)" }
        let place = client.address.map { "from \($0)" + (client.port.map { ":\($0)" } ?? "") } ?? "over PostgreSQL's own Unix socket"
        let local = localProcess.map { ", process \($0) of this machine" } ?? ""
        return
            "PostgreSQL's process \(pid) (\(client.application ?? "a program without a name") of role \(client.role) \(place)\(local), since \(client.since))"
    }
}
