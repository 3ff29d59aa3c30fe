import Foundation
import LoopbackPorts
import PostgresReplication

/// A PostgreSQL server of the suite's own: a free port on 127.0.0.1, a temporary folder, gone with the test process.
///
/// Binaries come from `SLOTSTREAM_POSTGRES_BIN`, else from Debian's PostgreSQL 15. A shell between us and the server holds its
/// life: when its standard input closes, which it does however this process ends, it stops the server by pid and removes the
/// folder. PostgreSQL refuses to run as root, so for root the shell is `postgres`'s.
final class PostgresServer: Sendable {
    struct Failure: Error {
        let message: String
    }

    enum Kind: String {
        case primary
        /// In recovery, without a primary to follow; it can be promoted.
        case standby
    }

    let port: Int
    let folder: String
    /// The postmaster.
    let pid: Int32
    private let lifeline: FileHandle

    /// With TLS (`\(folder)/ca.crt`, `client.crt`, `client.key`), and the roles that the script makes.
    static let shared = Result { try PostgresServer(.primary) }

    init(_ kind: Kind, settings: [String] = []) throws {
        port = Int(try freePort())
        let binaries = ProcessInfo.processInfo.environment["SLOTSTREAM_POSTGRES_BIN"] ?? "/usr/lib/postgresql/15/bin"
        let process = Process()
        let isRoot = getuid() == 0
        process.executableURL = URL(fileURLWithPath: isRoot ? "/usr/sbin/runuser" : "/bin/sh")
        let shell = ["-c", Self.script, "sh", binaries, String(port), kind.rawValue, settings.joined(separator: "\n")]
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
                throw Failure(message: "the server's shell ended: \(String(decoding: answer, as: UTF8.self))")
            }
            answer.append(more)
        }
        let line = String(decoding: answer, as: UTF8.self)
        let words = line.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let pid = Int32(words[0]) else { throw Failure(message: line) }
        self.pid = pid
        folder = String(words[1])
        try waitUntilReady()
    }

    deinit {
        try? lifeline.close()
    }

    /// As superuser, or as a role of the script's; without TLS unless `more` says otherwise.
    func conninfo(_ more: String = "", host: String = "127.0.0.1", user: String = "postgres") -> String {
        "host=\(host) port=\(port) user=\(user) dbname=postgres sslmode=disable " + more
    }

    func parameters(_ more: String = "") -> ConnectionParameters {
        ConnectionParameters(conninfo: conninfo(more))
    }

    func sql() throws(PostgresError) -> SQLConnection {
        try SQLConnection(parameters(), timeout: .seconds(20))
    }

    func walsender(walSenderTimeoutMilliseconds: Int? = nil) throws(PostgresError) -> ReplicationConnection {
        try ReplicationConnection(
            parameters(), walSenderTimeoutMilliseconds: walSenderTimeoutMilliseconds, timeout: .seconds(20))
    }

    /// What `pg_ctl stop -m fast` sends.
    func stopFast() { kill(pid, SIGINT) }

    /// The postmaster removes this file last.
    var isStopped: Bool { access(folder + "/data/postmaster.pid", F_OK) != 0 }

    private func waitUntilReady() throws {
        let deadline = ContinuousClock.now.advanced(by: .seconds(60))
        while true {
            do {
                let connection = try SQLConnection(parameters(), timeout: .seconds(5))
                connection.close()
                return
            } catch {
                guard ContinuousClock.now < deadline else { throw error }
                usleep(20_000)
            }
        }
    }

    /// $1 binaries, $2 port, $3 kind, $4 settings. Prints the postmaster's pid and the folder.
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
        cd "$folder"
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout other.key -out other.crt
        for name in server client; do
            case $name in server) subject=/CN=localhost ;; client) subject=/CN=certificate ;; esac
            openssl req -new -newkey rsa:2048 -nodes -subj $subject -keyout $name.key -out $name.csr
            printf 'subjectAltName=DNS:localhost' >$name.ext
            openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.crt
        done
        chmod 600 ./*.key
        cat >>data/postgresql.conf <<END
        listen_addresses = '127.0.0.1'
        port = $2
        unix_socket_directories = '$folder'
        wal_level = logical
        fsync = off
        shared_buffers = 16MB
        ssl = on
        ssl_cert_file = '$folder/server.crt'
        ssl_key_file = '$folder/server.key'
        ssl_ca_file = '$folder/ca.crt'
        $4
        END
        cat >data/pg_hba.conf <<END
        local all all trust
        hostssl all certificate 127.0.0.1/32 cert
        host all scram 127.0.0.1/32 scram-sha-256
        host all all 127.0.0.1/32 trust
        END
        "$bin/postgres" --single -D data postgres <<END
        SET password_encryption = 'scram-sha-256';
        CREATE ROLE scram LOGIN REPLICATION PASSWORD 'open:se\same''d';
        CREATE ROLE certificate LOGIN REPLICATION;
        CREATE ROLE plain LOGIN;
        CREATE ROLE german LOGIN REPLICATION;
        ALTER ROLE german SET DateStyle = 'German';
        ALTER ROLE german SET TimeZone = 'Asia/Tokyo';
        ALTER ROLE german SET IntervalStyle = 'iso_8601';
        ALTER ROLE german SET bytea_output = 'escape';
        ALTER ROLE german SET extra_float_digits = -5;
        ALTER ROLE german SET client_encoding = 'LATIN1';
        ALTER ROLE german SET idle_session_timeout = '1h';
        ALTER ROLE german SET lc_monetary = 'C';
        ALTER ROLE german SET statement_timeout = '5s';
        ALTER ROLE german SET lock_timeout = '5s';
        ALTER ROLE german SET idle_in_transaction_session_timeout = '5s';
        ALTER ROLE german SET tcp_user_timeout = '5s';
        ALTER ROLE german SET quote_all_identifiers = on;
        ALTER ROLE german SET array_nulls = off;
        ALTER ROLE german SET xmloption = 'document';
        ALTER ROLE german SET transform_null_equals = on;
        ALTER ROLE german SET default_transaction_read_only = on;
        ALTER ROLE german SET default_transaction_isolation = 'serializable';
        ALTER ROLE german SET default_transaction_deferrable = on;
        ALTER ROLE german SET synchronous_commit = off;
        ALTER ROLE german SET exit_on_error = on;
        ALTER ROLE german SET client_min_messages = 'error';
        ALTER ROLE german SET search_path = public, pg_catalog;
        END
        test "$3" = primary || touch data/standby.signal
        "$bin/postgres" -D data </dev/null >server.log 2>&1 3>&- &
        pid=$!
        echo "$pid $folder" >&3
        exec 3>&-
        cat >/dev/null
        """#
}
