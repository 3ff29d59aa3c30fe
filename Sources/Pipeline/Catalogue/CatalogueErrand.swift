import Dispatch
import History
import Synchronization
import Threads

/// One question on its way to the catalogue, on a thread that may wait: the one that owns the walsender's connection goes on meanwhile.
///
/// Whoever lets it go leaves it behind: what it has is closed when it comes back.
final class CatalogueErrand: Sendable {
    private enum State: ~Copyable {
        case ready(CatalogueKit)
        case underWay
        case done(CatalogueKit, Result<TableAnswer, StreamerError>)
        case taken
    }

    let question: TableQuestion
    private let state: Mutex<State>

    /// Begins.
    /// - Parameters:
    ///   - kit: What it is asked with; it comes back with the answer.
    ///   - wake: Signalled when the answer is there.
    init(_ question: TableQuestion, with kit: consuming CatalogueKit, wake: WakeSignal) {
        self.question = question
        state = Mutex(.ready(kit))
        DispatchQueue(label: "slotstream.catalogue").async { [weak self] in
            guard var kit = self?.begin() else { return }
            let answer = Result { () throws(StreamerError) in try kit.ask(question) }
            self?.finish(kit, answer)
            wake.signal()
        }
    }

    /// What came of it, once, and what it was asked with; nil while it is under way, and afterwards.
    func take(_ body: (consuming CatalogueKit, Result<TableAnswer, StreamerError>) -> Void) {
        var kit: CatalogueKit?
        var answer: Result<TableAnswer, StreamerError>?
        state.withLock { state in
            switch consume state {
            case .ready(let unused): state = .ready(unused)
            case .underWay: state = .underWay
            case .done(let used, let found):
                kit = consume used
                answer = found
                state = .taken
            case .taken: state = .taken
            }
        }
        if let kit = kit.take(), let answer { body(kit, answer) }
    }

    private func begin() -> CatalogueKit? {
        var kit: CatalogueKit?
        state.withLock { state in
            switch consume state {
            case .ready(let unused):
                kit = consume unused
                state = .underWay
            case .underWay: state = .underWay
            case .done(let used, let answer): state = .done(used, answer)
            case .taken: state = .taken
            }
        }
        return kit
    }

    private func finish(_ kit: consuming CatalogueKit, _ answer: Result<TableAnswer, StreamerError>) {
        var end: State? = .done(kit, answer)
        state.withLock { state in
            if let end = end.take() { state = end }
        }
    }
}
