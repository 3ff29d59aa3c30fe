import Foundation

/// A PostgreSQL server of the suite's own: a socket in a temporary folder, no port, gone with the test process.
///
/// Binaries come from `SLOTSTREAM_POSTGRES_BIN`, else from Debian's PostgreSQL 15. A shell between us and the server holds its
/// life: when its standard input closes, which it does however this process ends, it stops the server by pid and removes the
/// folder. PostgreSQL refuses to run as root, so for root the shell is `postgres`'s.
final class PrivatePostgres: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    static let shared = Result { try PrivatePostgres() }

    private let folder: String
    private let binaries: String
    private let lifeline: FileHandle

    private init() throws {
        binaries = ProcessInfo.processInfo.environment["SLOTSTREAM_POSTGRES_BIN"] ?? "/usr/lib/postgresql/15/bin"
        let process = Process()
        let isRoot = getuid() == 0
        process.executableURL = URL(fileURLWithPath: isRoot ? "/usr/sbin/runuser" : "/bin/sh")
        let shell = ["-c", Self.script, "sh", binaries]
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
            if more.isEmpty { break }
            answer.append(more)
        }
        let line = String(decoding: answer, as: UTF8.self)
        guard line.hasPrefix("ready ") else { throw Failure(description: "no server was started: \(line)") }
        folder = String(line.dropFirst(6).dropLast())
    }

    /// Runs a psql script and gives back the lines that it prints: rows without padding and headings.
    ///
    /// The session is pinned as `PostgresReplication` pins its own.
    func run(_ script: String, database: String, encoding: String = "UTF8") throws -> [String] {
        let files = FileManager.default.temporaryDirectory.appendingPathComponent(
            "slotstream-psql-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: files, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: files) }
        // Files, not pipes: another process that is started meanwhile would hold a pipe's end open.
        let input = files.appendingPathComponent("in.sql")
        let output = files.appendingPathComponent("out")
        try Data(script.utf8).write(to: input)
        try Data().write(to: output)

        let process = Process()
        process.executableURL = URL(fileURLWithPath: binaries + "/psql")
        process.arguments = [
            "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", folder, "-U", "postgres", "-d", database, "-f",
            input.path,
        ]
        let settings = [
            "TimeZone=UTC", "DateStyle=ISO", "extra_float_digits=1", "bytea_output=hex", "IntervalStyle=postgres",
        ]
        process.environment = [
            "PGOPTIONS": settings.map { "-c \($0)" }.joined(separator: " "), "PGCLIENTENCODING": encoding,
        ]
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        let text = String(decoding: try Data(contentsOf: output), as: UTF8.self)
        guard process.terminationStatus == 0 else { throw Failure(description: text) }
        return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    /// $1 binaries. Prints `ready` and the folder, or what went wrong.
    private static let script = #"""
        set -e
        bin=$1 folder=$(mktemp -d /tmp/slotstream-capture.XXXXXX)
        finish() {
            if test -n "$pid"; then kill -QUIT "$pid" 2>/dev/null || true; fi
            wait
            rm -rf "$folder"
        }
        trap finish EXIT
        trap '' INT HUP
        exec 3>&1 >"$folder/setup.log" 2>&1
        "$bin/initdb" -D "$folder/data" -U postgres -A trust -N --no-instructions --locale=C -E UTF8 ||
            { tail -n 1 "$folder/setup.log" >&3; exit 1; }
        cat >>"$folder/data/postgresql.conf" <<END
        listen_addresses = ''
        unix_socket_directories = '$folder'
        unix_socket_permissions = 0777
        wal_level = logical
        max_replication_slots = 100
        fsync = off
        autovacuum = off
        shared_buffers = 16MB
        END
        chmod 755 "$folder"
        "$bin/postgres" -D "$folder/data" </dev/null >"$folder/server.log" 2>&1 3>&- &
        pid=$!
        tries=0
        until "$bin/pg_isready" -q -h "$folder"; do
            tries=$((tries + 1))
            if test $tries = 600 || ! kill -0 "$pid"; then tail -n 1 "$folder/server.log" >&3; exit 1; fi
            sleep 0.1
        done
        echo "ready $folder" >&3
        exec 3>&-
        cat >/dev/null
        """#
}
