import Capture
import History
import PostgresReplication
import WAL

/// The way past what a slot holds and the server cannot send: found by reading, without confirming anything.
enum SlotPassage {
    /// A commit record is longer than this: a slot that stands so far behind its start is past it.
    private static let stepByteCount: UInt64 = 8
    /// For the server to pass over WAL.
    private static let advanceTimeout = Duration.seconds(600)

    /// What is in the way of a streamer that would go on as planned; nil: nothing.
    ///
    /// - Parameter lastSequence: The stream's.
    /// - Throws: `.stop` where what was committed before it is not stored yet: to go on behind it would lose that too.
    static func obstacle(
        _ configuration: StreamerConfiguration, _ plan: Recovery.Plan, lastSequence: UInt64, sql: borrowing SQLConnection
    ) throws(StreamerError) -> SlotObstacle? {
        let found = try SlotProbe.obstacle(
            configuration, from: max(plan.startLSN, plan.provenLSN), storedLSN: plan.provenLSN,
            storedPosition: plan.known.storedID?.position, sql: sql)
        guard let (obstacle, unstoredCount) = found else { return nil }
        // What stands behind the proven end is compared by who streams.
        guard unstoredCount == 0, lastSequence <= plan.known.settledSequence else {
            throw .stop(
                obstacle.reason,
                what:
                    "\(obstacle.what(slot: configuration.source.slot, publication: configuration.source.publication)). \(unstoredCount) transactions or messages before this position are not known to be stored\(lastSequence > plan.known.settledSequence ? ", and the stream's messages behind sequence \(plan.known.settledSequence) are not compared" : "")",
                remedy: Steps.text([
                    "Start the streamer: `slotstream run`",
                    "Wait until the streamer has stored the earlier changes and stops again",
                    "Run this command again",
                ]))
        }
        return obstacle
    }

    /// The earliest position, as near as reading tells, from which the server can send again.
    static func end(
        of obstacle: SlotObstacle, _ configuration: StreamerConfiguration, sql: borrowing SQLConnection
    ) throws(StreamerError) -> LSN {
        let transaction = obstacle.progress.transaction
        if case .undecodable = obstacle.kind, let transaction {
            return LSN(transaction.commitLSN.rawValue + stepByteCount)
        }
        var blocked = max(obstacle.progress.endLSN, transaction?.commitLSN ?? .invalid)
        var free = try StreamerError.ofPostgres { () throws(PostgresError) in try sql.currentWALLSN() }
        while free.byteCount(since: blocked) > stepByteCount {
            let middle = LSN(blocked.rawValue + free.byteCount(since: blocked) / 2)
            let found = try SlotProbe.obstacle(
                configuration, from: middle, storedLSN: middle, storedPosition: nil, stopsAtFirst: true, sql: sql)
            if found == nil { free = middle } else { blocked = middle }
        }
        return free
    }

    /// Moves the slot there, and the server on: what commits before it is never sent.
    static func pass(
        _ end: LSN, _ source: StreamerConfiguration.Source, sql: borrowing SQLConnection
    ) throws(StreamerError) {
        do throws(PostgresError) {
            _ = try sql.advanceSlot(source.slot, to: end, timeout: advanceTimeout)
        } catch {
            throw error.isObjectInUse ? .slotActive(nil) : .postgres(error)
        }
    }
}
