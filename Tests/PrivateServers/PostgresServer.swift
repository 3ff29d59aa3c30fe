import Foundation

/// A PostgreSQL server of a test's own: a free port on 127.0.0.1 and a socket in a temporary folder, gone with the test process.
package final class PostgresServer: Sendable {
    package let port: UInt16
    /// With the socket, and with what `preparing` made.
    package let folder: String
    /// The postmaster.
    package let pid: Int32
    private let shell: ClusterShell

    /// The folder of its programs: `SLOTSTREAM_POSTGRES_BIN`, else Debian's PostgreSQL 15.
    package static let binaries = ProcessInfo.processInfo.environment["SLOTSTREAM_POSTGRES_BIN"] ?? "/usr/lib/postgresql/15/bin"

    /// As initdb makes it, copied for each server: initdb takes several times as long.
    private static let template = Result {
        try ClusterShell(
            #""$bin/initdb" -D "$folder/data" -U postgres -A trust -N --no-instructions --locale=C -E UTF8; echo "ready $folder" >&3"#)
    }

    /// Starts one, and waits until it takes connections.
    /// - Parameters:
    ///   - settings: Lines of postgresql.conf; file names are relative to `data`.
    ///   - preparing: Shell commands that run in the folder before the server starts; `data` is the cluster.
    package init(settings: [String] = [], preparing: String = "") throws {
        port = try freePort()
        let template = try Self.template.get().words[1]
        shell = try ClusterShell(Self.script, [template, String(port), settings.joined(separator: "\n"), preparing])
        guard shell.words.count == 3, let pid = Int32(shell.words[1]) else {
            throw TestFailure(shell.words.joined(separator: " "))
        }
        self.pid = pid
        folder = shell.words[2]
    }

    /// How a superuser connects, and what else the connection string is to say.
    package func conninfo(_ more: String = "", host: String = "127.0.0.1", user: String = "postgres") -> String {
        "host=\(host) port=\(port) user=\(user) dbname=postgres sslmode=disable " + more
    }

    /// What `pg_ctl stop -m fast` sends.
    package func stopFast() { kill(pid, SIGINT) }

    /// The postmaster removes this file last.
    package var isStopped: Bool { access(folder + "/data/postmaster.pid", F_OK) != 0 }

    /// $1 the template's folder, $2 port, $3 settings, $4 commands before the start.
    private static let script = #"""
        cp -a --reflink=auto "$1/data" data
        cat >>data/postgresql.conf <<END
        listen_addresses = '127.0.0.1'
        port = $2
        unix_socket_directories = '$folder'
        wal_level = logical
        fsync = off
        autovacuum = off
        shared_buffers = 16MB
        END
        printf '%s\n' "$3" >>data/postgresql.conf
        eval "$4"
        "$bin/postgres" -D data </dev/null >server.log 2>&1 3>&- &
        pid=$!
        tries=0
        until "$bin/pg_isready" -q -h "$folder" -p "$2"; do
            tries=$((tries + 1))
            if test $tries = 3000 || ! kill -0 "$pid"; then exit 1; fi
            sleep 0.02
        done
        echo "ready $pid $folder" >&3
        """#
}
