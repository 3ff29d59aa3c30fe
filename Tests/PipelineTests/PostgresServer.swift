import Foundation
import LoopbackPorts
import PostgresReplication

/// A PostgreSQL server of the suite's own: a free port on 127.0.0.1, a temporary folder, gone with the test process.
///
/// Binaries come from `SLOTSTREAM_POSTGRES_BIN`, else from Debian's PostgreSQL 15. A shell between us and the server holds its
/// life: when its standard input closes, which it does however this process ends, it stops the server by pid and removes the
/// folder. PostgreSQL refuses to run as root, so for root the shell is `postgres`'s.
final class PostgresServer: Sendable {
    private let port: UInt16
    /// The postmaster.
    private let pid: Int32
    private let folder: String
    private let lifeline: FileHandle

    init() throws {
        port = try freePort()
        let binaries = ProcessInfo.processInfo.environment["SLOTSTREAM_POSTGRES_BIN"] ?? "/usr/lib/postgresql/15/bin"
        let process = Process()
        let isRoot = getuid() == 0
        process.executableURL = URL(fileURLWithPath: isRoot ? "/usr/sbin/runuser" : "/bin/sh")
        let shell = ["-c", Self.script, "sh", binaries, String(port)]
        process.arguments = isRoot ? ["-u", "postgres", "--", "/bin/sh"] + shell : shell
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        lifeline = input.fileHandleForWriting

        var answer = Data()
        while !answer.contains(UInt8(ascii: "\n")) {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty {
                throw TestFailure("PostgreSQL did not start: \(String(decoding: answer, as: UTF8.self))")
            }
            answer.append(more)
        }
        let words = String(decoding: answer, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let pid = Int32(words[0]) else { throw TestFailure(words.joined(separator: " ")) }
        self.pid = pid
        folder = String(words[1])
        try eventually("PostgreSQL answers") {
            do { try sql().close() } catch { return false }
            return true
        }
    }

    deinit { try? lifeline.close() }

    var parameters: ConnectionParameters {
        ConnectionParameters(
            conninfo: "host=127.0.0.1 port=\(port) user=postgres dbname=postgres sslmode=disable")
    }

    func sql() throws(PostgresError) -> SQLConnection { try SQLConnection(parameters, timeout: .seconds(20)) }

    /// What `pg_ctl stop -m fast` sends.
    func stopFast() { kill(pid, SIGINT) }

    /// The postmaster removes this file last.
    var isStopped: Bool { access(folder + "/data/postmaster.pid", F_OK) != 0 }

    /// $1 binaries, $2 port. Prints the postmaster's pid and the folder.
    private static let script = #"""
        set -e
        bin=$1 folder=$(mktemp -d /tmp/slotstream-pg.XXXXXX)
        finish() {
            if test -n "$pid"; then kill -QUIT "$pid" 2>/dev/null || true; else tail -n 1 "$folder/setup.log" >&3; fi
            wait
            rm -rf "$folder"
        }
        trap finish EXIT
        trap '' INT HUP
        exec 3>&1 >"$folder/setup.log" 2>&1
        "$bin/initdb" -D "$folder/data" -U postgres -A trust -N --no-instructions --locale=C -E UTF8
        cat >>"$folder/data/postgresql.conf" <<END
        listen_addresses = '127.0.0.1'
        port = $2
        unix_socket_directories = '$folder'
        wal_level = logical
        fsync = off
        shared_buffers = 16MB
        END
        "$bin/postgres" -D "$folder/data" </dev/null >"$folder/server.log" 2>&1 3>&- &
        pid=$!
        echo "$pid $folder" >&3
        exec 3>&-
        cat >/dev/null
        """#
}
