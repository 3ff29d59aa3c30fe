import Synchronization

/// The requests that wait for their one answer, by the number in their reply subject.
///
/// Shape of the subject's last token: `r` and 16 lower-case hexadecimal digits.
final class PendingReplies: Sendable {
    /// The width of the subject token, in bytes.
    static let byteCount = 17
    /// How long nobody is asked whether an answer is still wanted.
    static let waitStep: Duration = .milliseconds(200)

    /// One waiting request.
    final class Waiter: Sendable {
        fileprivate let subject: String
        fileprivate let answer = Mutex<Result<[UInt8], JetStreamError>?>(nil)
        private let isAnswered = Latch()

        fileprivate init(subject: String) { self.subject = subject }

        /// Blocks until the answer is there, the time is over, or it is no longer wanted, which is asked five times a second.
        func answer(_ timeout: Duration, isWanted: () -> Bool) throws(JetStreamError) -> [UInt8] {
            let deadline = ContinuousClock.now + timeout
            while !isAnswered.wait(min(PendingReplies.waitStep, max(.zero, deadline - .now))) {
                guard ContinuousClock.now < deadline, isWanted() else { break }
            }
            switch answer.withLock({ $0 }) {
            case .success(let body): return body
            case .failure(let error): throw error
            case nil: throw .timedOut(operation: subject)
            }
        }

        fileprivate func set(_ result: Result<[UInt8], JetStreamError>) {
            answer.withLock { if $0 == nil { $0 = result } }
            isAnswered.open()
        }
    }

    private struct State {
        var last: UInt64 = 0
        var waiters: [UInt64: Waiter] = [:]
    }

    private let state = Mutex(State())

    /// Enters a request to `subject`. Close it, answered or not.
    func open(_ subject: String) -> (number: UInt64, waiter: Waiter) {
        state.withLock { state in
            state.last += 1
            let waiter = Waiter(subject: subject)
            state.waiters[state.last] = waiter
            return (state.last, waiter)
        }
    }

    /// Forgets a request; an answer that comes later is dropped.
    func close(_ number: UInt64) {
        _ = state.withLock { $0.waiters.removeValue(forKey: number) }
    }

    /// Hands a message to the request it answers.
    func resolve(_ number: UInt64, _ message: borrowing MessageHandle) {
        guard let waiter = state.withLock({ $0.waiters[number] }) else { return }
        let body = message.body
        if body.isEmpty, message.status == 503 {
            waiter.set(.failure(.noResponders(operation: waiter.subject)))
        } else {
            waiter.set(.success(Array(body)))
        }
    }

    /// Fails everything under way.
    func failAll(_ error: JetStreamError) {
        for waiter in state.withLock({ Array($0.waiters.values) }) { waiter.set(.failure(error)) }
    }

    /// Fails the requests to the subject that a permission violation names between quotes.
    func failRefused(_ text: String) {
        for waiter in state.withLock({ Array($0.waiters.values) }) where text.contains("\"\(waiter.subject)\"") {
            waiter.set(.failure(.permission(text)))
        }
    }

    /// Reads the number at the end of a reply subject; nil if it is not one of a request.
    static func number(subject: UnsafeBufferPointer<UInt8>) -> UInt64? {
        guard subject.count > byteCount,
            subject[subject.count - byteCount - 1] == UInt8(ascii: "."),
            subject[subject.count - byteCount] == UInt8(ascii: "r")
        else { return nil }
        return AckReply.hexadecimal(subject, from: subject.count - 16, digits: 16)
    }

    /// The subject token of `number`.
    static func text(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return "r" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Writes the subject token of `number` to the `byteCount` bytes at `destination`.
    static func write(_ number: UInt64, to destination: UnsafeMutablePointer<CChar>) {
        destination[0] = CChar(bitPattern: UInt8(ascii: "r"))
        AckReply.writeHexadecimal(number, digits: 16, to: destination + 1)
    }
}
