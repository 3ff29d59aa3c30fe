import JetStreamPublishing
import Observing
import Synchronization
import Threads
import WAL

/// One event that a worker holds: how it was delivered last, and how far its observers have come.
final class EventJob: @unchecked Sendable {
    // Sendable because what changes is behind a mutex, or belongs to the one thread that runs the job; the schedule hands it from one to the next.

    /// What is due next.
    enum Due {
        /// The next action of the next observer.
        case action
        /// An observer has failed for good: its dead letter is not stored yet.
        case deadLetter(DeadLetter)
        /// All is done: the server does not know yet.
        case acknowledgement
    }

    /// In the stream.
    let sequence: UInt64
    let message: StoredMessage
    /// nil: the message is no event.
    let event: ObservedEvent?
    /// Of its entity; nil: it stands in nobody's way.
    let lane: String?
    let receivedAt: ContinuousClock.Instant
    /// Whether the server has given the event up: what is told of it goes to the advisory that says so.
    let isGivenUp: Bool
    /// Bytes of the message.
    let byteCount: Int
    private let session: Atomic<UInt64>
    private let delivery: Mutex<(reply: String, count: Int)>

    /// The observers as they were when the event was first worked on, in the order of their turns; nil: it was not.
    var observers: [ObserverDefinition]?
    var observerIndex = 0
    /// Whether the observer's condition was asked.
    var isMatched = false
    var actionIndex = 0
    /// Of this action.
    var attemptCount = 0
    /// Whether it waits for a host that nothing goes to for a while.
    var isParked = false
    var firstAttemptAt: PostgresTimestamp?
    var lastAttemptAt: PostgresTimestamp?
    var due = Due.action
    /// Whether it is not known whether the server has taken note of its end.
    var isAcknowledgementDoubtful = false

    /// - Parameter session: The one that it was delivered in.
    init(
        _ delivered: DeliveredMessage, event: ObservedEvent?, at now: ContinuousClock.Instant, session: UInt64 = 0, isGivenUp: Bool = false
    ) {
        sequence = delivered.stored.sequence
        message = delivered.stored
        self.event = event
        lane = event.flatMap { event in event.entityID.map { "\(event.entityType)\u{0}\($0)" } }
        receivedAt = now
        self.isGivenUp = isGivenUp
        self.session = Atomic(session)
        byteCount = delivered.stored.payload.count + delivered.stored.subject.utf8.count
            + delivered.stored.headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        delivery = Mutex((delivered.reply, delivered.deliveryCount))
    }

    /// The event in a message of that stream, with an id whatever happens; nil: it is none.
    static func event(in message: StoredMessage, of stream: String) -> ObservedEvent? {
        var event = ObservedEvent(payload: message.payload, messageID: message.messageID, subject: message.subject)
        if event?.id.isEmpty ?? false { event?.id = "\(stream).\(message.sequence)" }
        return event
    }

    /// Whether anything of it was tried.
    var hasBegun: Bool { observers != nil }

    /// The subject that the server is told on.
    var reply: String { delivery.withLock { $0.reply } }

    /// How many times it was delivered.
    var deliveryCount: Int { delivery.withLock { $0.count } }

    /// Whether it belongs to that session.
    func isOf(_ number: UInt64) -> Bool { session.load(ordering: .acquiring) == number }

    /// Whether `message` is the same one: another stream has other messages under the same sequences.
    func isSame(_ message: StoredMessage) -> Bool { Identity(self.message) == Identity(message) }

    /// Tells messages apart over streams.
    struct Identity: Hashable {
        let sequence: UInt64
        let storedAtNanoseconds: Int64

        init(_ message: StoredMessage) {
            sequence = message.sequence
            storedAtNanoseconds = message.storedAtNanoseconds ?? 0
        }
    }

    /// It was delivered once more.
    func redelivered(_ message: DeliveredMessage, in session: UInt64) {
        delivery.withLock { $0 = (message.reply, message.deliveryCount) }
        self.session.store(session, ordering: .releasing)
    }

    /// The observer whose turn it is; nil: all have had theirs.
    var observer: ObserverDefinition? {
        guard let observers, observerIndex < observers.count else { return nil }
        return observers[observerIndex]
    }

    /// On to the next observer.
    func passObserver() {
        observerIndex += 1
        actionIndex = 0
        attemptCount = 0
        firstAttemptAt = nil
        isMatched = false
        due = .action
    }

    /// On to the next action of the same observer.
    func passAction() {
        actionIndex += 1
        attemptCount = 0
    }
}
