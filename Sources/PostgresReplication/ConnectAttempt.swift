import Dispatch
import Glibc
import Synchronization

/// Connecting, on a thread of its own: libpq resolves names by getaddrinfo(3), which knows no deadline and may take minutes.
///
/// Who waits for it longer than he wants to leaves it behind; it ends when the name is resolved, and closes what it has made.
final class ConnectAttempt: Sendable {
    private struct State: ~Copyable {
        var isAbandoned = false
        var connection: LibPQConnection?
        var failure: PostgresError?
    }

    /// So many may be left behind at once: more would only wait for the same resolver.
    private static let abandonedLimit = 8
    /// Beyond the deadline, by which libpq's own waits end by themselves, with better words.
    private static let grace = Duration.milliseconds(250)
    private static let lookInterval = Duration.milliseconds(100)
    private static let abandonedCount = Atomic<Int>(0)

    private let state = Mutex(State())
    /// A pipe, readable when it has finished.
    private let finished: Int32
    private let finishing: Int32

    private init() throws(PostgresError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw .connectionFailed(message: "cannot make a pipe: " + String(cString: strerror(errno)), sqlState: nil)
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (finished, finishing) = (ends[0], ends[1])
    }

    deinit {
        close(finished)
        close(finishing)
    }

    /// What `connect` returns, or throws, within the deadline.
    ///
    /// - Parameter whileWaiting: Called ten times a second meanwhile.
    static func run(
        deadline: Deadline, whileWaiting: () -> Void, _ connect: @escaping @Sendable () throws(PostgresError) -> LibPQConnection
    ) throws(PostgresError) -> LibPQConnection {
        guard abandonedCount.load(ordering: .relaxed) < abandonedLimit else {
            throw .connectionFailed(message: "the names of hosts are still being resolved, for earlier attempts", sqlState: nil)
        }
        let attempt = try ConnectAttempt()
        DispatchQueue(label: "slotstream.postgres.connect").async {
            do throws(PostgresError) {
                attempt.finish(try connect(), nil)
            } catch {
                attempt.finish(nil, error)
            }
        }
        let end = Deadline(after: deadline.remaining + grace)
        while end.limited(to: lookInterval).wait(for: attempt.finished, events: POLLIN) == 0, !end.hasPassed { whileWaiting() }
        var connection: LibPQConnection?
        let failure = attempt.state.withLock { state -> PostgresError? in
            connection = state.connection.take()
            if connection != nil { return nil }
            if let failure = state.failure { return failure }
            state.isAbandoned = true
            abandonedCount.add(1, ordering: .relaxed)
            return .connectionFailed(message: "the name of the host was not resolved in time", sqlState: nil)
        }
        if let failure { throw failure }
        guard let connection = connection.take() else {
            throw .connectionFailed(message: "connecting came to nothing", sqlState: nil)
        }
        return connection
    }

    private func finish(_ connection: consuming LibPQConnection?, _ failure: PostgresError?) {
        var connection = connection
        let isAbandoned = state.withLock { state in
            if !state.isAbandoned {
                state.connection = connection.take()
                state.failure = failure
            }
            return state.isAbandoned
        }
        if isAbandoned { Self.abandonedCount.subtract(1, ordering: .relaxed) }
        var byte: UInt8 = 1
        _ = write(finishing, &byte, 1)
    }
}

/// Sendable because it is not copied: whoever has it is its only owner, and hands it on whole.
extension LibPQConnection: @unchecked Sendable {}
