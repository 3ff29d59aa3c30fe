import Dispatch
import Synchronization

/// An ordinary session that is being made, on a thread of its own, for somebody who has other things to do meanwhile.
///
/// Whoever lets it go leaves it behind: what it makes is closed.
public final class SQLConnectionAttempt: Sendable {
    private enum State: ~Copyable {
        case underWay
        case made(SQLConnection)
        case failed(PostgresError)
        case taken
    }

    private let state = Mutex(State.underWay)

    /// Begins. The parameters are those of `SQLConnection.init`; `onNotice` is called on the thread that connects.
    public init(
        _ parameters: ConnectionParameters, timeout: Duration, isReadOnly: Bool, onNotice: NoticeHandler? = nil
    ) {
        DispatchQueue(label: "slotstream.postgres.session").async { [weak self] in
            do throws(PostgresError) {
                let made = try SQLConnection(parameters, timeout: timeout, isReadOnly: isReadOnly, onNotice: onNotice)
                self?.finish(.made(made))
            } catch {
                self?.finish(.failed(error))
            }
        }
    }

    /// What it has made, once; nil while it is under way, and afterwards.
    ///
    /// - Throws: What `SQLConnection.init` throws.
    public func take() throws(PostgresError) -> SQLConnection? {
        var made: SQLConnection?
        var failure: PostgresError?
        state.withLock { state in
            switch consume state {
            case .underWay: state = .underWay
            case .made(let connection):
                made = consume connection
                state = .taken
            case .failed(let error):
                failure = error
                state = .taken
            case .taken: state = .taken
            }
        }
        if let failure { throw failure }
        return made
    }

    private func finish(_ end: consuming State) {
        var end: State? = consume end
        state.withLock { state in
            if let end = end.take() { state = end }
        }
    }
}

/// Sendable because it is not copied: whoever has it is its only owner, and hands it on whole.
extension SQLConnection: @unchecked Sendable {}
