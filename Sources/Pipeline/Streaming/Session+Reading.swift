import Capture
import CoreMetrics
import History
import Logging
import PGOutput
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What the reader reads: handed on, counted, and told to what confirms.
extension Session {
    /// Reads; where that ends for good, what was received whole is stored and confirmed first.
    func read() throws(StreamerError) {
        do throws(StreamerError) {
            try receive()
            // What it was about may be the last that came.
            guard !isAsking else { return }
            try requireNoDoubt()
            try watchPublication(at: port.now)
        } catch {
            throw ended(by: error)
        }
    }

    /// Reads what has arrived, and leaves the socket alone for as long as the pace says.
    func receive() throws(StreamerError) {
        hasArrived = false
        var sink = window
        let (outcome, frameCount) = try reader.read(
            until: end, into: &sink, beforeFrame: { () throws(StreamerError) in try self.requireNoDoubt() },
            follow: { (step) throws(StreamerError) in
                switch step {
                case .message(let message, let action, let walEnd):
                    self.received(message, action, walEnd: walEnd)
                    if self.backfill?.hasWork == true, action != .none || !self.reader.assembler.isInTransaction { self.placeRows() }
                case .keepalive(let walEnd, let isReplyRequested):
                    try self.keepalive(walEnd, isReplyRequested: isReplyRequested)
                    return true
                }
                return self.hasRoom && self.backfill?.isHolding != true
            })
        delivery.wakePublisher()
        if frameCount > 0 { hasArrived = true }
        if hasArrived { heard() }
        let rest = pace.rest(afterFrames: frameCount, transactions: Int(transactionCount), at: port.now)
        observations.receivedLSN.store(schedule.receivedLSN.rawValue, ordering: .relaxed)
        if transactionCount > 0 {
            observations.transactionCount.add(transactionCount, ordering: .relaxed)
            observations.meters.transactions.increment(by: Int64(transactionCount))
            transactionCount = 0
        }
        let unknownTypeValues = reader.assembler.unknownTypeValueCount
        if unknownTypeValues > unknownTypeValueCount {
            observations.meters.unknownTypeValues.increment(by: Int64(unknownTypeValues - unknownTypeValueCount))
            unknownTypeValueCount = unknownTypeValues
        }
        let strayAborts = reader.assembler.strayAbortCount
        if strayAborts > strayAbortCount {
            observations.meters.strayAborts.increment(by: Int64(strayAborts - strayAbortCount))
            strayAbortCount = strayAborts
        }
        let uncastValues = reader.assembler.uncastValueCount
        if uncastValues > uncastValueCount {
            observations.meters.uncastValues.increment(by: Int64(uncastValues - uncastValueCount))
            uncastValueCount = uncastValues
        }
        poisonReport.tell(reader.assembler.poison, to: observations, logger, at: port.now)
        if let end, outcome == .reachedEnd {
            try decoded(upTo: end)
            isAtEnd = true
        }
        isAsking = outcome == .asking
        isMoreBuffered = outcome == .stopped
        if isAsking {
            // What the server says meanwhile lies in a socket that is left unread.
            heard()
            tracker.appended(count: window.appendedCount.load(ordering: .relaxed))
        }
        if rest > .zero { port.rest(rest) }
    }

    private func keepalive(_ walEnd: LSN, isReplyRequested: Bool) throws(StreamerError) {
        hasArrived = true
        schedule.keepalive(walEnd)
        if isTracing { logger.trace("keepalive from PostgreSQL", metadata: ["wal_end": "\(walEnd)"]) }
        if let position = gate.received(walEnd, at: port.now) { try decoded(upTo: position) }
        if isReplyRequested { schedule.replyRequested() }
    }

    /// A keepalive's position is believed.
    func decoded(upTo walEnd: LSN) throws(StreamerError) {
        // What commits behind the end is not read, and not confirmed.
        let walEnd = end.map { min($0, walEnd) } ?? walEnd
        try reader.decoded(upTo: walEnd)
        if reader.assembler.isHistoryProven { tracker.keepalive(walEnd: walEnd) }
        if !reader.assembler.isInTransaction {
            handedOn(upTo: walEnd)
            proved(upTo: walEnd)
        }
    }

    /// All that commits before `lsn` was handed on.
    func handedOn(upTo lsn: LSN) {
        if lsn.rawValue > delivery.decodedLSN.load(ordering: .relaxed) {
            delivery.decodedLSN.store(lsn.rawValue, ordering: .releasing)
        }
    }

    private func received(_ message: PGOutputMessage, _ action: TransactionAssembler.Action, walEnd: LSN) {
        if isTracing { trace(message) }
        failpoints.reached(.reading)
        let appendedCount = window.appendedCount.load(ordering: .relaxed)
        switch action {
        case .none, .asks:
            tracker.appended(count: appendedCount)
            if case .message(let outside) = message, !outside.isTransactional { proved(upTo: outside.lsn) }
        case .transactionBegan:
            tracker.transactionBegan()
            if case .begin(let begin) = message { proved(upTo: begin.finalLSN) }
        case .transactionEnded(let endLSN):
            // What comes before the proof is skipped, and was perhaps never stored.
            tracker.transactionEnded(
                endLSN: reader.assembler.isHistoryProven ? endLSN : .invalid, appendedCount: appendedCount)
            transactionCount += 1
            schedule.received(endLSN)
            handedOn(upTo: endLSN)
            proved(upTo: endLSN)
        }
        schedule.received(walEnd)
        announceKinds()
    }

    func announceKinds() {
        guard reader.assembler.eventKinds.count > announcedKindCount else { return }
        announcedKindCount = reader.assembler.eventKinds.count
        let kinds = reader.assembler.eventKinds
        observations.texts.withLock { $0.eventKinds = kinds }
    }
}
