package import PostgresReplication
package import WAL

/// How far the anchor slot trails behind what is confirmed, and where it is moved next. Pure: it is told what PostgreSQL shows, and when.
package struct ReplayWindow: Sendable {
    /// What the operator allows it.
    package struct Limits: Sendable, Equatable {
        /// Zero: there is no anchor slot.
        package var age: Duration
        /// WAL that it may hold back, at most.
        package var byteCount: UInt64

        package init(age: Duration, byteCount: UInt64) {
            self.age = age
            self.byteCount = byteCount
        }
    }

    /// A confirmed position, and when PostgreSQL showed it.
    private struct Sample: Sendable {
        var lsn: LSN
        var at: Instant
        var time: PostgresTimestamp
    }

    /// Samples in a window: how exactly its age is kept.
    private static let sampleCount = 64
    /// A move costs the server a reading of the WAL in between: shorter ones wait.
    private static let leastMove: UInt64 = 16 << 20

    private let limits: Limits
    /// Oldest first.
    private var samples: [Sample] = []

    package init(_ limits: Limits) {
        self.limits = limits
    }

    /// Takes in how far PostgreSQL has been told that all is stored.
    package mutating func saw(confirmed lsn: LSN, at now: Instant, time: PostgresTimestamp) {
        if let last = samples.last {
            // A server that was restored begins anew.
            if lsn < last.lsn { samples.removeAll { $0.lsn > lsn } }
            guard now.duration(since: last.at) >= limits.age / Self.sampleCount else { return }
        }
        samples.append(Sample(lsn: lsn, at: now, time: time))
        // Those that are much older than the window tell nothing more.
        while samples.count > 1, now.duration(since: samples[1].at) >= Self.lateAge(limits) * 2 { samples.removeFirst() }
    }

    /// Where the anchor is to be moved; nil: it stays.
    ///
    /// - Parameters:
    ///   - confirmed: What the live slot has confirmed: never beyond it.
    ///   - keptByteCount: `max_slot_wal_keep_size`; nil: no limit.
    package func target(of anchor: SlotState, confirmed: LSN, keptByteCount: UInt64?, at now: Instant) -> LSN? {
        guard let position = anchor.confirmedFlushLSN else { return nil }
        let end = anchor.currentWALLSN.rawValue
        let limit = byteLimit(keptByteCount)
        let floor = LSN(end > limit ? end - limit : 0)
        let isOver = (anchor.retainedByteCount ?? 0) > limit
        let aged = samples.last { now.duration(since: $0.at) >= limits.age }
        let target = min(confirmed, max(isOver ? floor : .invalid, aged?.lsn ?? .invalid))
        guard target > position else { return nil }
        let isLate = samples.contains { $0.lsn > position && now.duration(since: $0.at) >= Self.lateAge(limits) }
        return isOver || isLate || target.byteCount(since: position) >= Self.leastMove ? target : nil
    }

    /// An anchor that holds something older is moved, however little it is.
    private static func lateAge(_ limits: Limits) -> Duration { limits.age * 5 / 4 }

    /// WAL that the anchor may hold: half of what PostgreSQL would leave any slot, so that PostgreSQL takes neither.
    private func byteLimit(_ keptByteCount: UInt64?) -> UInt64 {
        min(limits.byteCount, keptByteCount.map { $0 / 2 } ?? .max)
    }

    /// Since when everything is within reach of a slot that stands at `position`; nil: not known.
    package func reach(of position: LSN) -> (at: Instant, time: PostgresTimestamp)? {
        samples.first { $0.lsn >= position }.map { ($0.at, $0.time) }
    }
}

extension ReplayWindow {
    /// The name of the anchor of the slot `slot`.
    package static func anchor(of slot: String) -> String { slot + "_anchor" }
}
