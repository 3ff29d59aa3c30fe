import Foundation

/// A shell that makes something in a folder of its own, as a user that PostgreSQL runs as, and holds its life.
///
/// When its standard input closes, which it does however this process ends, the shell ends what it started and removes the folder.
/// PostgreSQL refuses to run as root, so for root the shell is `postgres`'s.
final class ClusterShell: Sendable {
    /// The words of the line by which the shell said that all is made.
    let words: [String]
    private let lifeline: FileHandle

    /// - Parameters:
    ///   - script: Has `$bin` and `$folder`, and a descriptor 3 for its one line; what is in `$pid` is ended with it.
    ///   - arguments: `$1`, `$2` and so on of the script.
    init(_ script: String, _ arguments: [String] = []) throws {
        let process = Process()
        let isRoot = getuid() == 0
        process.executableURL = URL(fileURLWithPath: isRoot ? "/usr/sbin/runuser" : "/bin/sh")
        let shell = ["-c", Self.beginning + script + Self.end, PostgresServer.binaries] + arguments
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
            if more.isEmpty { throw TestFailure("the server's shell ended: \(String(decoding: answer, as: UTF8.self))") }
            answer.append(more)
        }
        let line = String(decoding: answer, as: UTF8.self)
        words = line.split(whereSeparator: \.isWhitespace).map(String.init)
        guard words.first == "ready" else { throw TestFailure("no server was started: \(line)") }
    }

    deinit { try? lifeline.close() }

    private static let beginning = #"""
        set -e
        bin=$0 folder=$(mktemp -d /tmp/slotstream-pg.XXXXXX) pid= isReady=
        finish() {
            if test -n "$pid"; then kill -QUIT "$pid" 2>/dev/null || true; fi
            if test -z "$isReady"; then tail -qn 2 "$folder"/*.log | tr '\n' ' ' >&3; echo >&3; fi
            wait
            rm -rf "$folder"
        }
        trap finish EXIT
        trap '' INT HUP
        chmod 755 "$folder"
        cd "$folder"
        exec 3>&1 >"$folder/setup.log" 2>&1

        """#

    private static let end = #"""

        isReady=yes
        exec 3>&-
        cat >/dev/null
        """#
}
