import Glibc
import PostgresReplication

/// How much room PostgreSQL has for the WAL that a slot holds, and how fast it writes WAL: as far as it tells, and this machine can see.
struct WALRoom: Sendable {
    /// For each question: it only adds to what is known.
    private static let timeout = Duration.seconds(1)

    /// `max_slot_wal_keep_size`; -1: no limit; nil: not told.
    var limitBytes: Int64?
    /// Of the disk with the data folder.
    var diskFreeBytes: UInt64?
    /// Since the server's statistics were reset.
    var rates: StreamerStatus.Rates?

    init() {}

    /// Asks the server; what it does not tell is left unknown.
    init(over sql: borrowing SQLConnection) {
        let settings = try? sql.query(
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('max_slot_wal_keep_size', 'data_directory')",
            timeout: Self.timeout)
        func setting(_ name: String) -> String? { settings?.first { $0.first == name }?.last.flatMap { $0 } }
        limitBytes = setting("max_slot_wal_keep_size").flatMap { Int64($0) }.map { $0 < 0 ? -1 : $0 * 1_048_576 }
        if let folder = setting("data_directory"), Self.isHere(sql) { diskFreeBytes = Self.freeByteCount(of: folder) }
        guard sql.serverVersion >= 140_000,
            let row = try? sql.query(
                "SELECT wal_bytes, extract(epoch FROM pg_catalog.now() - stats_reset) FROM pg_catalog.pg_stat_wal", timeout: Self.timeout).first,
            row.count == 2, let byteCount = row[0].flatMap({ Double($0) }), let seconds = row[1].flatMap({ Double($0) }), seconds > 1
        else { return }
        rates = StreamerStatus.Rates(walBytesPerSecond: byteCount / seconds, seconds: seconds)
    }

    /// Whether the server runs on this machine, and sees the same folders: reached without leaving the machine, and our session's process is one of PostgreSQL's here.
    private static func isHere(_ sql: borrowing SQLConnection) -> Bool {
        let asked = try? sql.query(
            "SELECT pg_catalog.inet_server_addr() IS NULL OR pg_catalog.inet_server_addr() = pg_catalog.inet_client_addr()", timeout: timeout)
        guard asked?.first?.first == "t", let file = fopen("/proc/\(sql.backendPID)/comm", "re") else { return false }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = fread(&bytes, 1, bytes.count, file)
        return bytes[..<count].starts(with: "postgres".utf8)
    }

    private static func freeByteCount(of folder: String) -> UInt64? {
        var disk = statvfs()
        guard statvfs(folder, &disk) == 0 else { return nil }
        return UInt64(disk.f_bavail) * UInt64(disk.f_frsize)
    }
}
