import Capture
package import History
import JetStreamPublishing
package import Logging
import PostgresReplication
import Threads
package import WAL

/// Compares what PostgreSQL committed with what the stream holds: event by event where the replay window reaches, and before that by what the stream itself can prove.
package enum Verification {
    /// What is compared.
    package struct Request: Sendable {
        package var range: EventRange
        /// Whose copy is read; nil: the anchor's.
        package var slot: String?

        package init(range: EventRange = EventRange(), slot: String? = nil) {
            self.range = range
            self.slot = slot
        }
    }

    /// What is not as it should be.
    package struct Difference: Sendable, Equatable {
        package enum Kind: String, CaseIterable, Sendable {
            /// PostgreSQL committed it, and the stream does not hold it.
            case missing
            /// It is stored again.
            case doubled
            /// It is stored behind an event that was committed later.
            case reordered
            /// It is stored with another subject or body.
            case altered
            /// PostgreSQL never committed it, or the configuration does not publish it.
            case foreign
            /// A row of a backfill is lost, doubled or moved, as the stream itself tells; `expected` and `stored` say in what.
            case backfill
        }

        package var kind: Kind
        /// The event's own id; nil of a foreign message without one.
        package var id: String?
        package var lsn: LSN?
        /// Where it is stored; nil: it is not.
        package var sequence: UInt64?
        package var subject: String
        /// What PostgreSQL gives; nil: nothing.
        package var expected: String?
        /// What the stream holds; nil: nothing.
        package var stored: String?
    }

    /// An accepted gap: what it leaves out is not missed.
    package struct Gap: Sendable, Equatable {
        package var sequence: UInt64
        package var fromLSN: LSN
        package var toLSN: LSN
        package var reason: String
        package var acceptedBy: String
        package var at: String
    }

    /// What the comparison found.
    package struct Outcome: Sendable, Equatable {
        package var stream: String
        /// What was compared with WAL; nil: nothing was.
        package var walRange: ClosedRange<LSN>?
        /// Events that are equal on both sides, or differ in a way that is told.
        package var compared: UInt64 = 0
        package var transactions: UInt64 = 0
        /// Events that retention has removed.
        package var retired: UInt64 = 0
        /// Events that `mend` stored late.
        package var late: UInt64 = 0
        /// Events that an accepted gap, or `skip`, leaves out.
        package var accepted: UInt64 = 0
        /// Events that only the stream itself could prove.
        package var provenByStream: UInt64 = 0
        /// Rows of backfills: proven by the stream itself too.
        package var read: UInt64 = 0
        /// The sequences that were looked at; nil: none was.
        package var sequences: ClosedRange<UInt64>?
        /// Sequences that are not there though later and earlier ones are.
        package var deletedCount: UInt64 = 0
        package var strays: UInt64 = 0
        package var gaps: [Gap] = []
        /// The first of them.
        package var differences: [Difference] = []
        package var differenceCounts: [Difference.Kind: UInt64] = [:]
        /// Why no WAL was compared; nil: it was.
        package var windowObstacle: String?

        package var isVerified: Bool { differenceCounts.isEmpty }
    }

    /// Differences that are told one by one.
    package static let toldLimit = 10_000

    /// - Parameter onProgress: Called in every turn with how much of the range is done, from 0 to 1.
    package static func run(
        _ configuration: StreamerConfiguration, _ request: Request, logger: Logger, onProgress: (Double, Outcome) -> Void = { _, _ in }
    ) throws(StreamerError) -> Outcome {
        let live = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { live.connection.close() }
        let stored = try StoredPast(configuration, over: live.connection)
        let range = try stored.resolve(request.range)
        let comparison = PastComparison(stored, range)
        var past: PastReader?
        do throws(StreamerError) {
            past = try PastReader(configuration, slot: request.slot, wake: live.wake, logger: logger)
        } catch {
            guard request.slot == nil, case .stop(.configuration, let what, _) = error else { throw error }
            comparison.outcome.windowObstacle = what
        }
        try comparison.readGaps(prefix: configuration.capture.subjectPrefix)
        let lower = try stored.lowerLSN(of: range)
        let end = stored.end(of: range)
        let walFrom = past.map { max($0.reachLSN, lower) }
        let streamEnd = min(walFrom ?? end, end)
        if lower < streamEnd, let sequences = try stored.sequences(from: lower, before: streamEnd) {
            try comparison.proveByStream(sequences) { onProgress($0, $1) }
        }
        if let past, let walFrom, walFrom < end {
            let payloadLimit = live.connection.payloadLimit(
                messageSizeLimit: stored.maxMessageSize, messageIDByteCount: 100, isBatched: configuration.delivery.isAtomic)
            try comparison.compare(past, from: walFrom, before: end, payloadLimit: payloadLimit) { onProgress($0, $1) }
        }
        comparison.finish()
        return comparison.outcome
    }
}
