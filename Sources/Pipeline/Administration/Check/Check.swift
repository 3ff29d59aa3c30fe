package import History
import JetStreamPublishing
import PostgresReplication
import Synchronization
import Threads
import WAL

/// The doctor: reads both servers and this process, and says what is wrong; changes nothing.
package enum Check {
    package struct Options: Sendable {
        /// What `setup` would make may be missing.
        package var isBeforeStart: Bool

        package init(isBeforeStart: Bool = false) { self.isBeforeStart = isBeforeStart }
    }

    /// How long both servers have for all their answers.
    static let answerTime = Duration.seconds(8)
    /// For how long the WAL is watched grow.
    static let rateTime = Duration.seconds(1)

    /// What has been answered so far.
    struct Answers: Sendable {
        var server: CheckedServer?
        /// Where PostgreSQL is.
        var endpoint = ""
        var role: CheckedRole?
        var tables: CheckedTables?
        /// What `run` and `setup` find of publication and rules.
        var found: [Finding] = []
        var account: CheckedAccount?
        var stream: CheckedStream?
        var slot: CheckedSlot?
        /// By how much PostgreSQL's clock is ahead of ours, and nats-server's.
        var clocks: (postgres: Double?, nats: Double?) = (nil, nil)
        var payloadLimit: Int?
        var errors: [StreamerError] = []
        var source: Result<Void, StreamerError>?
        var nats: Result<Void, StreamerError>?
        /// There is no way to a walsender.
        var isUnjoinable = false
        /// Slot, record and stream were looked at together, or cannot be.
        var isJoined = false
        /// Nobody waits any more.
        var isOver = false
    }

    /// One reading: filled by threads that may outlive it, where a server keeps them waiting.
    final class Reading: Sendable {
        let configuration: StreamerConfiguration
        let options: Options
        let deadline: Instant
        let answers = Mutex(Answers())
        let wake: WakeSignal

        init(_ configuration: StreamerConfiguration, _ options: Options) throws(StreamerError) {
            self.configuration = configuration
            self.options = options
            deadline = .now + Check.answerTime
            wake = try StreamerError.ofSystem { () throws(SystemError) in try WakeSignal() }
        }

        /// Adds what came; the last of the two servers to answer looks at both together.
        func add(_ change: (inout Answers) -> Void) {
            let isJoining = answers.withLock { answers in
                guard !answers.isOver else { return false }
                let wasOpen = answers.source == nil || answers.nats == nil
                change(&answers)
                return wasOpen && answers.source != nil && answers.nats != nil
            }
            if isJoining { join() }
            wake.signal()
        }

        private func join() {
            let isWhole = answers.withLock { answers in
                if case .success? = answers.source, case .success? = answers.nats { !answers.isUnjoinable } else { false }
            }
            if isWhole { Check.join(self) }
            answers.withLock { $0.isJoined = true }
        }
    }

    /// Asks both servers once, at the same time. What one says is told though the other does not answer. Takes ``answerTime`` at most.
    package static func run(
        _ configuration: StreamerConfiguration, process: CheckedProcess, options: Options
    ) throws(StreamerError) -> CheckReport {
        let reading = try Reading(configuration, options)
        try StreamerError.ofSystem { () throws(SystemError) in
            try OwnedThread(name: "check of PostgreSQL") { readSource(reading) }.detach()
            try OwnedThread(name: "check of NATS") { readNATS(reading) }.detach()
        }
        while !reading.answers.withLock({ $0.isJoined }), Instant.now < reading.deadline {
            reading.wake.wait(timeout: reading.deadline.duration(since: .now))
        }
        let answers = reading.answers.withLock { answers in
            answers.isOver = true
            return answers
        }
        return report(answers, configuration, process)
    }

    // MARK: - Judging

    private static func report(
        _ answers: Answers, _ configuration: StreamerConfiguration, _ process: CheckedProcess
    ) -> CheckReport {
        var account = answers.account
        if let postgres = answers.clocks.postgres, let nats = answers.clocks.nats { account?.clockDifference = postgres - nats }
        var tables = answers.tables
        tables?.payloadLimit = answers.payloadLimit
        var stream = answers.stream
        stream?.othersMayDelete = account?.othersMayDelete ?? false
        let findings =
            [answers.server?.findings, answers.role?.findings, answers.found, tables?.findings, answers.slot?.findings, account?.findings,
             stream?.findings, process.findings].compactMap { $0 }.flatMap { $0 }
        var errors = answers.errors
        errors += [
            failure(answers.source, else: .postgres(.timedOut(command: "the checks"))),
            failure(answers.nats, else: .jetStream(.timedOut(operation: "the checks"))),
        ].compactMap { $0 }
        return CheckReport(
            findings, errors: errors, summaries: summaries(answers, configuration), database: answers.role?.database)
    }

    private static func failure(_ result: Result<Void, StreamerError>?, else late: StreamerError) -> StreamerError? {
        switch result {
        case .success?: nil
        case .failure(let error)?: error
        case nil: late
        }
    }

    private static func summaries(
        _ answers: Answers, _ configuration: StreamerConfiguration
    ) -> [FindingID.Section: String] {
        var summaries: [FindingID.Section: String] = [:]
        if let server = answers.server {
            let place = answers.role.map { "  \($0.database)@\(answers.endpoint) as \($0.name)" } ?? ""
            summaries[.postgres] = "\(server.version / 10_000).\(server.version % 10_000)\(place)"
        }
        if let role = answers.role { summaries[.role] = role.name }
        if let tables = answers.tables {
            summaries[.tables] = "\(tables.tables.count) published by \(tables.publication)"
        }
        summaries[.slot] = configuration.source.slot
        if let account = answers.account {
            let limit = account.storageLimit.map { ", JetStream \(account.storageTaken / 1024 / 1024) of \($0 / 1024 / 1024) MiB" }
            summaries[.nats] = "\(account.version ?? "")\(limit ?? "")"
        }
        summaries[.stream] = configuration.stream.name + (answers.stream.map { ", \($0.info.state.messages) messages" } ?? "")
        summaries[.here] = "configuration, files, limits"
        return summaries
    }
}
