import Capture
import History
import Observing
import PostgresReplication
import Synchronization

/// Calls functions in PostgreSQL for all threads, over a few connections.
final class FunctionCaller: Sendable {
    /// At most, a power of two: the others wait.
    private static let connectionLimit = 4
    /// For connecting.
    private static let connectTimeout = Duration.seconds(10)

    /// One of the connections, which may be there. Sendable because what it holds is touched with its mutex held only.
    private final class Place: @unchecked Sendable {
        let mutex = Mutex(())
        var connection: Boxed?
    }

    /// A connection in a class, since an optional that is stored cannot hold a noncopyable value and be replaced while it is used.
    private final class Boxed {
        let sql: SQLConnection
        init(_ sql: consuming SQLConnection) { self.sql = sql }
    }

    private let parameters: ConnectionParameters
    private let places: [Place]
    private let turns = Atomic<Int>(0)

    init(_ parameters: ConnectionParameters) {
        self.parameters = parameters
        places = (0..<Self.connectionLimit).map { _ in Place() }
    }

    /// `SELECT function($1::jsonb)`, in a transaction of its own.
    ///
    /// - Parameter isWanted: Asked when a connection is free: others may have been waited for.
    func call(_ action: DatabaseAction, _ event: ObservedEvent, timeout: Duration, isWanted: () -> Bool) -> ActionOutcome {
        let name = action.function.map { quoteIdentifier($0) }.joined(separator: ".")
        let argument = String(decoding: action.argument(for: event), as: UTF8.self)
        let place = places[turns.add(1, ordering: .relaxed).newValue & (Self.connectionLimit - 1)]
        return place.mutex.withLock { _ in
            guard isWanted() else { return .notBegun }
            do throws(PostgresError) {
                let connection = try opened(place)
                _ = try connection.sql.query("SELECT \(name)($1::jsonb)", [argument], timeout: timeout)
                return .done
            } catch {
                // Whatever state it is in.
                if !Self.isAnswer(error) { place.connection = nil }
                return .failed(Self.failure(error))
            }
        }
    }

    /// With the place's mutex held.
    private func opened(_ place: Place) throws(PostgresError) -> Boxed {
        if let connection = place.connection { return connection }
        let connection = Boxed(try SQLConnection(parameters, timeout: Self.connectTimeout))
        place.connection = connection
        return connection
    }

    /// Whether the session goes on.
    private static func isAnswer(_ error: PostgresError) -> Bool {
        if case .server(_, "ERROR", _, _, _, _) = error { true } else { false }
    }

    private static func failure(_ error: PostgresError) -> ActionFailure {
        // What the function was given, or its name, its rights and its code: the same again. A function's own RAISE (P0001) may be about a moment.
        let isPermanent = ["42", "22", "23", "0A", "3F"].contains { error.sqlState?.hasPrefix($0) ?? false } && isAnswer(error)
        return ActionFailure(
            isPermanent ? .permanentlyFailed : .databaseError, ShownText.line(text(error)), isPermanent: isPermanent, isTheHosts: !isAnswer(error),
            isAnswered: isAnswer(error))
    }

    /// Without the detail, which may show a row.
    private static func text(_ error: PostgresError) -> String {
        if case .server(let sqlState, let severity, let message, _, _, _) = error {
            return "PostgreSQL answered \(severity) \(sqlState): \(message)"
        }
        return "\(error)"
    }
}
