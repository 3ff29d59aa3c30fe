package import WAL

/// What a PostgreSQL snapshot shows, for transactions as events name them: by ids of 32 bits.
package struct TransactionSnapshot: Equatable, Sendable {
    /// So much WAL is written for as many transactions as there are ids, at least: each writes how it ended. What committed so long ago is
    /// shown, whatever its id says.
    static let idPeriodByteCount: UInt64 = 1 << 37

    /// Each id below it is shown.
    package let xmin: UInt64
    /// No id from it on is.
    package let xmax: UInt64
    /// Those between them that are not.
    package let running: Set<UInt64>
    /// All that is shown committed before it.
    package let lsn: LSN

    /// - Parameters:
    ///   - text: `pg_current_snapshot()`: `xmin:xmax:xip,xip`.
    ///   - lsn: Where the server wrote after the snapshot was taken.
    package init?(_ text: String, lsn: LSN) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let xmin = UInt64(parts[0]), let xmax = UInt64(parts[1]), xmin <= xmax else { return nil }
        let running = parts[2].split(separator: ",").map { UInt64($0) }
        guard !running.contains(nil) else { return nil }
        self.xmin = xmin
        self.xmax = xmax
        self.running = Set(running.compactMap(\.self))
        self.lsn = lsn
    }

    /// Whether it shows what this transaction did, which committed at `commitLSN`.
    package func shows(_ id: TransactionID, committedAt commitLSN: LSN) -> Bool {
        guard lsn.byteCount(since: commitLSN) < Self.idPeriodByteCount else { return true }
        let full = full(id)
        return full < xmin || (full < xmax && !running.contains(full))
    }

    /// The id with its epoch: the one that is nearest to the snapshot's.
    package func full(_ id: TransactionID) -> UInt64 {
        let distance = Int64(Int32(bitPattern: id.rawValue &- UInt32(truncatingIfNeeded: xmax)))
        return distance < 0 ? xmax - min(xmax, UInt64(-distance)) : xmax &+ UInt64(distance)
    }
}
