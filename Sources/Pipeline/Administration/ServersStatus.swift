package import History
import JetStreamPublishing
import PostgresReplication
import Threads
package import WAL

/// What both servers said when they were asked for the status, and what follows from it.
package struct ServersStatus: Sendable {
    /// What would become of a streamer that is started now.
    enum Outlook: Sendable {
        case unknown
        case goesOn
        /// Nothing is set up yet.
        case firstStart
        case stops(StopReason, what: String, remedy: String)
    }

    var status: StreamerStatus
    /// Of the servers that could not be asked.
    package internal(set) var failures: [StreamerError] = []
    var outlook = Outlook.unknown
    /// nil where somebody has streamed since.
    var lastStop: LastStop?

    /// Before anything has been asked.
    init(slot: String, stream: String) {
        status = StreamerStatus(
            role: .stopped, live: false, ready: false, reasons: [], source: StreamerStatus.Source(slot: slot),
            stream: StreamerStatus.Stream(name: stream))
    }

    /// All of it, with what a running streamer says of itself.
    /// - Parameters:
    ///   - running: What answered at `http.listen`; nil: nothing did.
    ///   - now: For how long something lasts.
    package func concluded(with running: StreamerStatus?, at now: PostgresTimestamp) -> StreamerStatus {
        var whole = status
        whole.reasons += failures.map { "\($0)" }
        if case .stops(_, let what, let remedy) = outlook { whole.reasons.append("\(StatusReader.wouldStop)\(what). \(remedy)") }
        // Another streamer may listen there.
        if let running, running.source.slot == whole.source.slot, running.stream.name == whole.stream.name {
            whole = whole.adding(running)
        }
        whole.at = now.description
        if whole.role == .stopped { tellStop(to: &whole, at: now) }
        whole.next = next(whole)
        whole.source.fullInSeconds = whole.source.secondsUntilFull(whole.rates)
        whole.stream.fullInSeconds = whole.stream.secondsUntilFull(at: now)
        return whole
    }

    /// Why nobody streams: what would stop a streamer now, or what stopped the last one.
    private func tellStop(to whole: inout StreamerStatus, at now: PostgresTimestamp) {
        whole.lastStop = lastStop
        if case .stops(let reason, let what, _) = outlook {
            let at = lastStop.flatMap { $0.reason == reason.rawValue ? $0.at : nil }
            whole.lastError = StreamerStatus.LastError(reason: reason.rawValue, at: at ?? now.description, message: what)
        } else if let lastStop {
            whole.lastError = StreamerStatus.LastError(reason: lastStop.reason, at: lastStop.at, message: lastStop.message)
        }
    }

    private func next(_ whole: StreamerStatus) -> [String]? {
        var steps = failures.map(\.oneShotOutcome.remedy)
        if failures.isEmpty, whole.role == .stopped {
            switch outlook {
            case .stops(_, _, let remedy): steps.append(remedy)
            case .firstStart: steps.append("Set up the slot and the stream, and stream: `slotstream run`")
            case .goesOn, .unknown: steps.append(lastStop?.remedy ?? "Start the streamer: `slotstream run`")
            }
        }
        if steps.isEmpty, !whole.isHealthy { steps.append("Find the cause: `slotstream check`") }
        let lines = steps.flatMap { Steps.lines(of: $0) }
        return lines.isEmpty ? nil : lines
    }
}

extension StreamerStatus.Source {
    /// What `status` says of the published tables.
    mutating func take(_ publication: PublicationContents) {
        publishedTables = publication.publishedNames.count
        tablesWithoutIdentity = Array(publication.unidentified.map(\.name).prefix(100))
    }

    /// In how long the slot is lost by `max_slot_wal_keep_size`, or the disk is full, when WAL goes on as it did and nothing is confirmed; nil: nobody knows.
    func secondsUntilFull(_ rates: StreamerStatus.Rates?) -> Double? {
        guard let rate = rates?.walBytesPerSecond, rate >= 1 else { return nil }
        let rooms = [safeBytes.map { Double(max(0, $0)) }, diskFreeBytes.map { Double($0) }].compactMap { $0 }
        return rooms.min().map { $0 / rate }
    }
}

extension StreamerStatus.Stream {
    /// So much of a limit is as good as all of it: the server removes the oldest when it is reached.
    private static let fullShare = 0.99
    /// A stream that is younger tells nothing of how fast it grows.
    private static let shortestSpan = 10.0

    /// In how long the oldest messages go because of size or number, when the stream grows as it did since its oldest message; 0: they go now. nil: nobody knows, or their age is
    /// what removes them.
    func secondsUntilFull(at now: PostgresTimestamp) -> Double? {
        guard let oldest = firstTime.flatMap({ PostgresTimestamp(rfc3339: $0) }), let messages, messages > 0, let bytes else { return nil }
        let span = Double(now.unixMicroseconds - oldest.unixMicroseconds) / 1e6
        func rest(_ stored: UInt64, _ limit: UInt64?) -> Double? {
            guard let limit else { return nil }
            if Double(stored) >= Double(limit) * Self.fullShare { return 0 }
            guard span >= Self.shortestSpan else { return nil }
            let perSecond = Double(stored) / span
            if let maxAgeSeconds, perSecond * maxAgeSeconds < Double(limit) { return nil }
            return (Double(limit) - Double(stored)) / perSecond
        }
        return [rest(bytes, maxBytes), rest(messages, maxMessages)].compactMap { $0 }.min()
    }
}

extension StreamerStatus {
    /// What PostgreSQL says of the slot; nil: there is none.
    mutating func add(_ slot: SlotState?) {
        guard let slot else { return reasons.append("slot \(source.slot) does not exist") }
        if slot.isActive { role = .active } else { reasons.append(StatusReader.noHolder) }
        source.plugin = slot.plugin
        source.walStatus = slot.walStatus
        source.confirmedLsn = slot.confirmedFlushLSN?.description
        source.walLsn = slot.currentWALLSN.description
        source.lagBytes = slot.confirmedFlushLSN.map { slot.currentWALLSN.byteCount(since: $0) }
        source.retainedBytes = slot.retainedByteCount
        source.safeBytes = slot.safeWALByteCount
    }

    /// What JetStream says of the stream; nil: there is none.
    mutating func add(_ info: StreamInfo?, _ record: CheckpointRecord?) {
        guard let info else { return reasons.append("stream \(stream.name) does not exist") }
        stream.take(StreamFacts(info, at: .now))
        guard let record else { return reasons.append("there is no checkpoint record for stream \(stream.name)") }
        source.storedLsn = record.confirmedLsn
        backfill = StreamerStatus.Backfill(record)
    }

    /// What the servers say, with what the running streamer says of itself.
    func adding(_ running: StreamerStatus) -> StreamerStatus {
        var whole = running
        whole.source.confirmedLsn = source.confirmedLsn ?? running.source.confirmedLsn
        whole.source.walStatus = source.walStatus ?? running.source.walStatus
        whole.source.walLsn = source.walLsn ?? running.source.walLsn
        whole.source.retainedBytes = source.retainedBytes ?? running.source.retainedBytes
        whole.source.safeBytes = source.safeBytes ?? running.source.safeBytes
        whole.source.publishedTables = source.publishedTables ?? running.source.publishedTables
        whole.source.tablesWithoutIdentity = source.tablesWithoutIdentity ?? running.source.tablesWithoutIdentity
        whole.source.host = source.host ?? running.source.host
        whole.source.serverVersion = source.serverVersion ?? running.source.serverVersion
        whole.source.walLimitBytes = source.walLimitBytes ?? running.source.walLimitBytes
        whole.source.diskFreeBytes = source.diskFreeBytes ?? running.source.diskFreeBytes
        whole.stream = stream
        whole.rates = running.rates ?? rates
        whole.window = running.window ?? window
        whole.backfill = running.backfill ?? backfill
        // What is left of the retention it knows better: it asks about each.
        whole.consumers =
            consumers?.map { consumer in
                var consumer = consumer
                consumer.retentionLeft = consumer.retentionLeft ?? running.consumers?.first { $0.name == consumer.name }?.retentionLeft
                return consumer
            } ?? running.consumers
        // One that runs and has no slot says itself why.
        whole.reasons += reasons.filter { $0 != StatusReader.noHolder && !running.reasons.contains($0) }
        return whole
    }

    /// What happened since an earlier reading; nil: neither can be told.
    package func rates(since earlier: StreamerStatus, seconds: Double) -> Rates? {
        func difference(_ new: UInt64?, _ old: UInt64?) -> Double? {
            guard let new, let old, new >= old, seconds > 0 else { return nil }
            return Double(new - old) / seconds
        }
        func position(_ status: StreamerStatus) -> UInt64? { status.source.walLsn.flatMap { LSN($0) }?.rawValue }
        let events = difference(stream.lastSequence, earlier.stream.lastSequence)
        let wal = difference(position(self), position(earlier))
        return events == nil && wal == nil ? nil : Rates(eventsPerSecond: events, walBytesPerSecond: wal, seconds: seconds)
    }

    /// Whether there is nothing to do: a streamer has the slot or stands by, and neither it nor a server tells of anything.
    package var isHealthy: Bool {
        role != .stopped && reasons.isEmpty && source.walStatus.map { !["unreserved", "lost"].contains($0) } ?? true
    }
}
