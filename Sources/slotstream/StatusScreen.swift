import Console
import History
import Pipeline
import WAL

/// The status as a person reads it: what it is, what is wrong and what to type, and then how it stands.
struct StatusScreen {
    private let status: StreamerStatus
    private let screen: Screen
    private let now: PostgresTimestamp
    /// A server could not be asked.
    private let isUnreachable: Bool
    private var lines: [String] = []

    /// Labels stand in so many columns, two blanks before them included.
    private static let labelWidth = 13
    /// Names of tables and of consumers that are shown.
    private static let nameLimit = 4

    /// - Parameter isUnreachable: Whether a server could not be asked.
    static func text(_ status: StreamerStatus, isUnreachable: Bool, on screen: Screen, at now: PostgresTimestamp) -> String {
        var shown = StatusScreen(status: status, screen: screen, now: now, isUnreachable: isUnreachable)
        shown.addHead()
        shown.addTrouble()
        shown.addPosition()
        shown.addRoom()
        shown.addWindow()
        shown.addStream()
        shown.addBackfill()
        shown.addRest()
        return shown.lines.joined(separator: "\n")
    }

    private init(status: StreamerStatus, screen: Screen, now: PostgresTimestamp, isUnreachable: Bool) {
        self.status = status
        self.screen = screen
        self.now = now
        self.isUnreachable = isUnreachable
    }

    // MARK: - What it is, and what is wrong

    private mutating func addHead() {
        let source = [status.source.database, status.source.host.map { $0.hasPrefix("/") ? "localhost" : $0 }].compactMap { $0 }
        let stream = [status.stream.name, status.stream.host].compactMap { $0 }
        let what = "slotstream \(status.version) · \(source.isEmpty ? "?" : source.joined(separator: "@")) → \(stream.joined(separator: "@"))"
        let time = "\(Self.time(now)) UTC"
        guard let columns = screen.columns else { return lines.append("\(what)  \(time)") }
        let room = columns - Screen.width(time)
        lines.append(screen.marked(Screen.padded(Screen.cut(what, to: room - 2), to: room), .strong) + time)
    }

    private mutating func addTrouble() {
        let (word, mark) = state
        var line = screen.marked("● \(word)", mark)
        if status.role == .stopped, let error = status.lastError {
            if let age = status.lastStop.flatMap({ age(of: $0.at) }) { line += " \(age) ago" }
            line += "   \(error.reason)" + (StopReason(rawValue: error.reason).map { " (\($0.exitCode.rawValue))" } ?? "")
            lines.append(line)
            add("  ", error.message, indent: 2)
        } else {
            lines.append(line)
        }
        for reason in status.reasons where !isTold(reason) { add("  ", reason, indent: 2) }
        for (index, step) in (status.next ?? []).enumerated() { add(index == 0 ? "  next:  " : "         ", step, indent: 9) }
    }

    private var state: (String, Screen.Mark) {
        if isUnreachable { return ("UNREACHABLE", .bad) }
        switch status.role {
        case .standby: return ("STANDING BY", status.isHealthy ? .good : .warning)
        case .stopped: return ("STOPPED", .bad)
        case .active: return status.isHealthy ? ("STREAMING", .good) : ("NEEDS ATTENTION", .warning)
        }
    }

    /// It stands above already: as the last error, or as what a STOPPED says.
    private func isTold(_ reason: String) -> Bool {
        status.lastError != nil && (reason.hasPrefix(StatusReader.wouldStop) || status.role == .stopped && reason.hasPrefix("stopped: "))
    }

    // MARK: - How it stands

    private mutating func addPosition() {
        let source = status.source
        row("slot", [source.slot, source.plugin, source.walStatus], separator: ", ")
        let places = [("received", source.receivedLsn), ("stored", source.storedLsn), ("confirmed", source.confirmedLsn)]
        row("position", places.map { place in place.1.map { "\(place.0) \($0)" } }, separator: ", ")
        row("behind", [source.lagBytes.map { "\(Amount.bytes($0)) of WAL" }, oldestChange], separator: ", ")
        if let rates = status.rates {
            let was = status.role == .stopped ? status.lastStop?.eventsPerSecond.map { " (was \(Amount.rate($0)))" } : nil
            row(
                "rate",
                [
                    rates.eventsPerSecond.map { "\(Amount.rate($0)) events/s" } ?? was.map { "0 events/s\($0)" },
                    rates.walBytesPerSecond.map { "\(Amount.bytes(UInt64(max(0, $0)))) of WAL/s" },
                    "in the last \(Amount.time(rates.seconds))",
                ], separator: ", ")
        }
        if let inFlight = status.inFlight, inFlight.bytes > 0 {
            row("in flight", ["\(Amount.count(UInt64(max(0, inFlight.messages)))) messages, \(Amount.bytes(UInt64(max(0, inFlight.bytes)))) not stored yet"])
        }
    }

    /// Of the oldest change that is not stored: known by the streamer; without one, no older than when the last one stopped.
    private var oldestChange: String? {
        if let seconds = status.source.lagSeconds { return "oldest change \(Amount.time(seconds))" }
        guard status.role == .stopped, status.source.lagBytes ?? 0 > 0 else { return nil }
        return status.lastStop.flatMap { age(of: $0.at) }.map { "since \($0)" }
    }

    private mutating func addRoom() {
        let source = status.source
        guard let retained = source.retainedBytes else { return }
        var parts = [Amount.bytes(retained)]
        if let limit = source.walLimitBytes {
            parts.append(limit < 0 ? "limit none (max_slot_wal_keep_size = -1)" : "limit \(Amount.bytes(UInt64(limit)))")
        }
        if let free = source.diskFreeBytes { parts.append("disk free \(Amount.bytes(free))") }
        if let seconds = source.fullInSeconds {
            let time = Amount.time(seconds)
            parts.append(status.role == .stopped ? "full in about \(time)" : "room for a stop of about \(time)")
        }
        row("WAL held", parts, separator: ", ")
    }

    private mutating func addWindow() {
        guard let window = status.window else { return }
        row(
            "window",
            [
                window.fromTime.flatMap(age(of:)).map { "reaches back \($0)" }, window.fromLsn.map { "from \($0)" },
                window.bytes.map { "holds \(Amount.bytes($0))" },
            ], separator: ", ")
    }

    private mutating func addStream() {
        let stream = status.stream
        guard let messages = stream.messages, let bytes = stream.bytes else { return }
        var parts = ["\(Amount.count(messages)) messages"]
        if let limit = stream.maxBytes {
            parts.append("\(Amount.bytes(bytes)) of \(Amount.bytes(limit)) (\(Amount.share(bytes, of: limit)))")
        } else {
            parts.append(Amount.bytes(bytes))
        }
        if let first = stream.firstTime.flatMap(age(of:)) { parts.append("oldest \(first) ago") }
        if let last = stream.lastTime.flatMap(age(of:)) { parts.append("newest \(last) ago") }
        if let seconds = stream.fullInSeconds {
            let full = stream.discard == "new" ? "full: JetStream refuses new events" : "full: the oldest events go"
            parts.append(seconds == 0 ? full : "full in about \(Amount.time(seconds))")
        }
        row("stream", parts, separator: ", ")
        if let first = stream.firstSequence, let last = stream.lastSequence { row("sequences", ["\(first) to \(last)"]) }
        addConsumers()
    }

    private mutating func addConsumers() {
        guard let consumers = status.consumers, !consumers.isEmpty else { return }
        // Whoever is furthest behind is looked for.
        let sorted = consumers.sorted { $0.unread > $1.unread }
        let shown = sorted.prefix(Self.nameLimit).map { consumer in
            "\(ShownText.line(consumer.name)) \(Amount.count(consumer.unread)) behind" + (consumer.delivered == 0 ? ", never read" : "")
                + (consumer.isNearEviction ? ", about to lose unread messages" : "")
        }
        row("consumers", shown + (consumers.count > Self.nameLimit ? ["and \(consumers.count - Self.nameLimit) more"] : []), separator: " · ")
    }

    private mutating func addBackfill() {
        guard let run = status.backfill else { return }
        let table = run.table ?? ShownText.names(run.tables, limit: Self.nameLimit)
        let state = ["walking", "preparing"].contains(run.state) ? nil : run.state + (run.why.map { " (\(ShownText.line($0)))" } ?? "")
        row(
            "backfill", ["run \(run.run): \(table)", "\(Amount.count(run.rows)) rows", "\(Int(run.fraction * 100)) %", state],
            separator: ", ")
    }

    private mutating func addRest() {
        if let count = status.source.publishedTables {
            let names = status.source.tablesWithoutIdentity ?? []
            var parts = ["\(count) published"]
            parts += names.prefix(Self.nameLimit).map { "\($0): no usable replica identity (UPDATE fails in the application)" }
            if names.count > Self.nameLimit { parts.append("and \(names.count - Self.nameLimit) more") }
            row("tables", parts, separator: " · ")
        }
        if let counters = status.counters {
            row(
                "counted",
                [
                    "\(Amount.count(counters.transactions)) transactions", "\(Amount.count(counters.events)) events",
                    "\(Amount.count(counters.resynchronisations)) resynchronisations", "\(Amount.count(counters.reconnects)) reconnects",
                    counters.strays.flatMap { $0 > 0 ? "\(Amount.count($0)) strays" : nil },
                ], separator: ", ")
        }
        if status.role != .stopped, let error = status.lastError {
            row("last error", ["\(age(of: error.at).map { "\($0) ago" } ?? error.at), \(error.reason): \(error.message)"])
        }
    }

    // MARK: - Lines

    /// A label and what is known of it; nothing where nothing is.
    private mutating func row(_ label: String, _ parts: [String?], separator: String = "") {
        let known = parts.compactMap { $0 }
        guard !known.isEmpty else { return }
        let lead = Screen.padded("  \(label)", to: Self.labelWidth)
        lines.append(screen.wrapped(lead, known, separator: separator, indent: Self.labelWidth))
    }

    private mutating func add(_ lead: String, _ text: String, indent: Int) { lines.append(screen.wrapped(lead + text, indent: indent)) }

    /// How long ago that was.
    private func age(of time: String) -> String? {
        PostgresTimestamp(rfc3339: time).map { Amount.time(max(0, Double(now.unixMicroseconds - $0.unixMicroseconds) / 1e6)) }
    }

    /// `13:04:11`
    private static func time(_ time: PostgresTimestamp) -> String { String(time.description.dropFirst(11).prefix(8)) }
}

extension StreamerStatus.Consumer {
    /// Messages that it has not acknowledged.
    fileprivate var unread: UInt64 { pending &+ ackPending }

    /// The stream is about to remove some of them.
    fileprivate var isNearEviction: Bool { retentionLeft.map { $0 < ConsumerStanding.nearShare } ?? false }
}
