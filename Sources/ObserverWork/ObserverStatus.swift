import FoundationEssentials
import History
import JetStreamPublishing
import Operations
import Pipeline

/// How a worker is: what `/status` answers, and what `slotstream-observer status` shows.
package struct ObserverStatus: Codable, Sendable, ServedStatus {
    package enum Role: String, Codable, Sendable, CaseIterable {
        /// It works, or is about to.
        case active
        /// Another worker works.
        case standby
        /// No worker runs, or it has stopped for good.
        case stopped
    }

    /// How events of one entity are kept in order.
    package enum Ordering: String, Codable, Sendable {
        /// One worker works, by a lease in the bucket.
        case lease
        /// One worker works, by the consumer's own policy.
        case pinned
        /// All work.
        case none
    }

    package struct Consumer: Codable, Sendable {
        package var stream: String
        package var name: String
        /// Messages that were not delivered yet; nil: not known.
        package var pending: UInt64?
        /// Messages that were delivered and not acknowledged.
        package var ackPending: UInt64?
        /// Everything up to this sequence is acknowledged.
        package var ackFloor: UInt64?
        /// In what it differs from the configuration.
        package var differences: [String]?
    }

    package struct DeadLetters: Codable, Sendable {
        package var stream: String
        /// nil: not known.
        package var messages: Int?
    }

    package struct Observer: Codable, Sendable {
        package var name: String
        /// `file` or `database`.
        package var origin: String
        package var actions: [String]
    }

    package struct LastError: Codable, Sendable {
        package var reason: String
        package var at: String
        package var message: String
    }

    package var schema = "slotstream.observer_status/1"
    package var role: Role
    package var live: Bool
    package var ready: Bool
    package var reasons: [String] = []
    /// To NATS.
    package var isConnected = false
    package var ordering: Ordering?
    /// Who works; nil: nobody, or all do.
    package var holder: String?
    package var consumer: Consumer
    package var deadLetters: DeadLetters
    package var observers: [Observer] = []
    /// Events that this worker holds.
    package var inFlight: Int?
    /// The hosts that nothing goes to for a while.
    package var breakers: [String] = []
    package var lastError: LastError?
    /// What to do; nil: nothing.
    package var next: [String]?
    package var version = Slotstream.version

    package init(role: Role, live: Bool, ready: Bool, _ configuration: WorkerConfiguration) {
        self.role = role
        self.live = live
        self.ready = ready
        consumer = Consumer(stream: configuration.stream, name: configuration.consumer)
        deadLetters = DeadLetters(stream: configuration.deadStream)
    }

    package var roleName: String { role.rawValue }

    /// One JSON object with sorted snake_case keys, on one line.
    package func json() -> String { ContractJSON.text(self) }

    /// Reads what ``json()`` wrote; nil: it is none.
    package init?(json: [UInt8]) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let status = try? decoder.decode(ObserverStatus.self, from: Data(json)) else { return nil }
        self = status
    }
}

extension ObserverStatus {
    /// Adds what a running worker says of itself to what the server says of the consumer.
    package mutating func merge(_ running: ObserverStatus) {
        var merged = running
        merged.consumer.pending = consumer.pending ?? running.consumer.pending
        merged.consumer.ackPending = consumer.ackPending ?? running.consumer.ackPending
        merged.consumer.ackFloor = consumer.ackFloor ?? running.consumer.ackFloor
        merged.consumer.differences = consumer.differences ?? running.consumer.differences
        merged.deadLetters.messages = deadLetters.messages ?? running.deadLetters.messages
        merged.holder = holder ?? running.holder
        merged.reasons += reasons.filter { !running.reasons.contains($0) }
        self = merged
    }

    /// Whether there is nothing to do.
    package var isHealthy: Bool { reasons.isEmpty && (deadLetters.messages ?? 0) == 0 && breakers.isEmpty }
}
