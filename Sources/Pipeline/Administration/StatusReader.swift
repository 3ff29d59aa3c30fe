import History
import JetStreamPublishing
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What both servers say of slot and stream, whether a streamer runs or not.
package enum StatusReader {
    /// How long both servers have for all their answers: whoever asks how things stand does not wait for a server that says nothing.
    static let answerTime = Duration.milliseconds(3500)
    /// For what only adds to an answer.
    static let additionTime = Duration.seconds(1)
    /// What is said where nobody streams.
    static let noHolder = "no streamer holds the slot"
    /// Before why a streamer would stop.
    package static let wouldStop = "a streamer would stop here: "

    /// What has been answered so far.
    struct Answers: Sendable {
        var servers: ServersStatus
        var source: Result<Void, StreamerError>?
        var stream: Result<Void, StreamerError>?
        /// Those that will have nothing more to say.
        var finishedCount = 0
        var isJudging = false
        /// Why a streamer would stop at its start was looked for.
        var isJudged = false
        /// Nobody waits any more.
        var isOver = false

        /// Only where both have answered, and nobody holds the slot, something is to be found out.
        var isToJudge: Bool {
            guard case .success? = source, case .success? = stream else { return false }
            return servers.status.role != .active
        }

        var isComplete: Bool { finishedCount == 2 && (isJudged || !isToJudge) }
    }

    /// One reading: filled by threads that may outlive it, where a server keeps them waiting.
    final class Reading: Sendable {
        let configuration: StreamerConfiguration
        let deadline: Instant
        let answers: Mutex<Answers>
        let wake: WakeSignal

        init(_ configuration: StreamerConfiguration) throws(StreamerError) {
            self.configuration = configuration
            deadline = .now + StatusReader.answerTime
            answers = Mutex(Answers(servers: StatusReader.nothing(of: configuration)))
            wake = try StreamerError.ofSystem { () throws(SystemError) in try WakeSignal() }
        }

        /// Adds what came, and looks further once both have answered.
        func add(_ change: (inout Answers) -> Void) {
            let isToJudge = answers.withLock { answers in
                guard !answers.isOver else { return false }
                change(&answers)
                guard answers.isToJudge, !answers.isJudging else { return false }
                answers.isJudging = true
                return true
            }
            if isToJudge { start("judgement") { judge($0) } }
            wake.signal()
        }

        /// Begins a part of it on a thread of its own.
        func start(_ name: String, _ body: @escaping @Sendable (Reading) -> Void) {
            do throws(SystemError) {
                try OwnedThread(name: "status, \(name)") { body(self) }.detach()
            } catch {
                add { answers in
                    answers.isJudged = true
                    answers.servers.status.reasons.append("\(error)")
                }
            }
        }
    }

    /// Asks both servers once, at the same time. What one does not answer is told with what the other says. Takes four seconds at most.
    package static func read(_ configuration: StreamerConfiguration) -> ServersStatus {
        let reading: Reading
        do throws(StreamerError) {
            reading = try Reading(configuration)
        } catch {
            var servers = nothing(of: configuration)
            servers.failures.append(error)
            return servers
        }
        reading.start("PostgreSQL") { readSource($0) }
        reading.start("NATS") { readStream($0) }
        while !reading.answers.withLock({ $0.isComplete }), Instant.now < reading.deadline {
            reading.wake.wait(timeout: reading.deadline.duration(since: .now))
        }
        let answers = reading.answers.withLock { answers in
            answers.isOver = true
            return answers
        }
        var servers = answers.servers
        servers.failures += [
            failure(answers.source, else: .postgres(.timedOut(command: "its state"))),
            failure(answers.stream, else: .jetStream(.timedOut(operation: "the stream's state"))),
        ].compactMap { $0 }
        return servers
    }

    fileprivate static func nothing(of configuration: StreamerConfiguration) -> ServersStatus {
        ServersStatus(slot: configuration.source.slot, stream: configuration.stream.name)
    }

    private static func failure(_ result: Result<Void, StreamerError>?, else late: StreamerError) -> StreamerError? {
        switch result {
        case .success?: nil
        case .failure(let error)?: error
        case nil: late
        }
    }

    /// Finds out why a streamer would stop at its start, if it would: what ended the last one can be read here after its log is gone.
    private static func judge(_ reading: Reading) {
        let configuration = reading.configuration
        var outlook = ServersStatus.Outlook.unknown
        var trouble: StreamerError?
        do throws(StreamerError) {
            let servers = try ServerConnections(configuration)
            let (facts, _) = try ServerFacts.gather(
                configuration, replication: servers.replication, sql: servers.sql, nats: servers.nats)
            switch Recovery.assess(facts) {
            case .proceed: outlook = .goesOn
            case .firstStart: outlook = .firstStart
            case .refuse(let reason, let what, let remedy, _): outlook = .stops(reason, what: what, remedy: remedy)
            }
        } catch {
            // Both have answered: no failure to read them.
            trouble = error
        }
        reading.add { answers in
            answers.isJudged = true
            answers.servers.outlook = outlook
            if let trouble { answers.servers.status.reasons.append("\(trouble)") }
        }
    }
}
