import Capture
import History
import JetStreamPublishing
import Logging
import Observing
import Synchronization
import Threads
import WAL

/// What the threads of a worker share, and what they tell of it.
final class WorkerState: Sendable {
    private struct Values {
        var connection: JetStreamConnection?
        var observers: [ObserverDefinition]
        var status: ObserverStatus
        /// When each loop turned last.
        var turns: [String: ContinuousClock.Instant] = [:]
        /// What is wrong now, and when it was told last.
        var troubles: [Trouble: (text: String, toldAt: ContinuousClock.Instant)] = [:]
        /// What ends the session.
        var failure: StreamerError?
    }

    /// What can be wrong for a while. As long as it is, the worker is not ready.
    enum Trouble: UInt8, CaseIterable {
        case reading, acknowledging, deadLetters, advisories, lease, consumer, observers, record

        fileprivate var bit: UInt16 { 1 << UInt16(rawValue) }
    }

    /// The same trouble is told again after that time.
    private static let tellingInterval = Duration.seconds(60)

    let configuration: WorkerConfiguration
    let meters: WorkerMeters
    private let logger: Logger
    private let values: Mutex<Values>
    /// Changes with each connection and each set of observers: threads keep what they have read, and ask again when this has changed.
    private let generation = Atomic<UInt64>(0)
    /// Until when this worker may begin attempts, on the monotonic clock; 0: it may not.
    private let permitUntil = Atomic<UInt64>(0)
    /// Counts sessions: what was begun in another one is not gone on with.
    private let sessionNumber = Atomic<UInt64>(0)
    /// The bits of the troubles that there are.
    private let troubled = Atomic<UInt16>(0)
    private let reservedPrefix: String

    init(_ configuration: WorkerConfiguration, meters: WorkerMeters, logger: Logger) {
        self.configuration = configuration
        self.meters = meters
        self.logger = logger
        reservedPrefix = "\(configuration.subjectPrefix).\(ReservedEntity.name)."
        let status = ObserverStatus(role: .active, live: true, ready: false, configuration)
        values = Mutex(Values(observers: Self.sorted(configuration.observers), status: status))
        use(configuration.observers)
    }

    /// The connection of the moment; nil: there is none.
    var connection: JetStreamConnection? {
        get { values.withLock { $0.connection } }
        set {
            values.withLock { $0.connection = newValue }
            generation.add(1, ordering: .releasing)
        }
    }

    /// What is read for each event.
    struct Reading {
        let generation: UInt64
        let connection: JetStreamConnection?
        /// In the order of their turns.
        let observers: [ObserverDefinition]
    }

    /// What is so now; `former`, where nothing has changed since it was read. A lock for each event would be a queue of all threads.
    func reading(_ former: Reading?) -> Reading {
        let generation = generation.load(ordering: .acquiring)
        if let former, former.generation == generation { return former }
        return values.withLock { Reading(generation: generation, connection: $0.connection, observers: $0.observers) }
    }

    /// The observers in the order of their turns.
    var observers: [ObserverDefinition] { values.withLock { $0.observers } }

    private static func sorted(_ observers: [ObserverDefinition]) -> [ObserverDefinition] {
        observers.sorted { ($0.priority, $0.name) < ($1.priority, $1.name) }
    }

    /// From here on events that have not begun are for these.
    func use(_ observers: [ObserverDefinition]) {
        meters.know(observers)
        values.withLock { values in
            values.observers = Self.sorted(observers)
            values.status.observers = values.observers.map { observer in
                ObserverStatus.Observer(name: observer.name, origin: observer.origin.rawValue, actions: observer.actions.map(\.typeName))
            }
        }
        generation.add(1, ordering: .releasing)
    }

    /// Whether the subject is one of Slotstream's own markers'.
    func isMarker(_ subject: String) -> Bool { subject.hasPrefix(reservedPrefix) }

    // MARK: - Whether it may work

    /// The session of the moment.
    var session: UInt64 { sessionNumber.load(ordering: .acquiring) }

    /// A new session: nothing has failed in it yet.
    func beginSession() {
        sessionNumber.add(1, ordering: .releasing)
        values.withLock { $0.failure = nil }
    }

    /// What ends the session; nil: nothing.
    var failure: StreamerError? { values.withLock { $0.failure } }

    /// Ends the session.
    func fail(_ error: StreamerError) { values.withLock { if $0.failure == nil { $0.failure = error } } }

    /// - Parameter instant: nil: no longer.
    func permit(until instant: Instant?) { permitUntil.store(instant?.nanoseconds ?? 0, ordering: .releasing) }

    /// Whether an attempt may begin.
    var mayWork: Bool { Instant.now.nanoseconds < permitUntil.load(ordering: .acquiring) }

    // MARK: - Telling

    /// Changes what `/status` answers.
    func change(_ body: (inout ObserverStatus) -> Void) { values.withLock { body(&$0.status) } }

    /// A loop of that name has turned.
    func turned(_ loop: String) { values.withLock { $0.turns[loop] = .now } }

    /// A loop of that name has ended in order.
    func ended(_ loop: String) { values.withLock { _ = $0.turns.removeValue(forKey: loop) } }

    /// Logs trouble once a minute for as long as it lasts, and keeps it for `/status`. A right that is missing ends the session.
    func tell(_ trouble: Trouble, _ what: Logger.Message, _ error: JetStreamError, _ fields: Logger.Metadata = [:]) {
        if error.isPermission { fail(.jetStream(error)) }
        tell(trouble, what, error: "\(error)", fields)
    }

    /// The same of whatever is not NATS's.
    func tell(_ trouble: Trouble, _ what: Logger.Message, error: String, _ fields: Logger.Metadata = [:]) {
        let now = ContinuousClock.now
        troubled.bitwiseOr(trouble.bit, ordering: .relaxed)
        let isDue = values.withLock { values in
            let toldAt = values.troubles[trouble]?.toldAt
            let isDue = toldAt.map { now - $0 >= Self.tellingInterval } ?? true
            values.troubles[trouble] = ("\(what): \(ShownText.line(error))", isDue ? now : toldAt ?? now)
            values.status.lastError = ObserverStatus.LastError(
                reason: "\(trouble)", at: PostgresTimestamp.now.description, message: "\(what): \(ShownText.line(error))")
            return isDue
        }
        guard isDue else { return }
        logger.warning(what, metadata: fields.merging(["error": "\(error)"]) { first, _ in first })
    }

    /// It went well: whatever trouble there was is over.
    func mended(_ trouble: Trouble) {
        guard troubled.load(ordering: .relaxed) & trouble.bit != 0 else { return }
        troubled.bitwiseAnd(~trouble.bit, ordering: .relaxed)
        values.withLock { _ = $0.troubles.removeValue(forKey: trouble) }
    }

    /// What is so now.
    func status(openHosts: [String], inFlight: Int) -> ObserverStatus {
        let now = ContinuousClock.now
        return values.withLock { values in
            var status = values.status
            status.isConnected = values.connection?.isConnected ?? false
            status.inFlight = inFlight
            status.breakers = openHosts
            let limit = LongTime.liveness.duration
            // Not the threads that do actions: they may wait for a receiver as long as its time limit.
            let stuck = values.turns.filter { now - $0.value > limit }.keys.sorted()
            status.live = stuck.isEmpty
            status.reasons = stuck.map { "the worker's loop \($0) has not turned for \(Int(limit / .seconds(1))) s" }
            if status.role != .stopped, !status.isConnected { status.reasons.append("the worker is not connected to NATS") }
            status.reasons += values.troubles.sorted { $0.key.rawValue < $1.key.rawValue }.map { $0.value.text }
            if status.role == .stopped { status.reasons.append(values.status.lastError?.message ?? "the worker has stopped") }
            status.ready =
                status.live && status.isConnected && status.role != .stopped && status.ordering != nil && values.troubles.isEmpty
            if status.reasons.isEmpty, status.ordering == nil { status.reasons.append("the worker has not found its stream and consumer yet") }
            return status
        }
    }
}
