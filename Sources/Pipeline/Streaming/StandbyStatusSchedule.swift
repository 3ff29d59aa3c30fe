import Threads
import WAL

/// When a status goes to PostgreSQL, and what it says. Pure: the time is given to it.
///
/// Status updates go out on a timer, at once when something new may be confirmed, and in answer to requests, those rate-limited: a server that waits for us asks 25,000 times a second.
struct StandbyStatusSchedule {
    struct Status: Equatable {
        var writtenLSN: LSN
        /// 0/0 when there is nothing new to confirm: then a fast shutdown waits for receipt only, whatever NATS does, and nothing is confirmed.
        var flushedLSN: LSN
    }

    /// Between two answers that say nothing new.
    static let answerInterval = Duration.milliseconds(100)

    private let interval: Duration
    private var lastStatusAt: Instant?
    private var lastWrittenLSN = LSN.invalid
    private var isReplyRequested = false

    private(set) var receivedLSN: LSN
    /// What PostgreSQL has been told on this connection.
    private(set) var confirmedLSN = LSN.invalid

    /// - Parameter interval: At least one status goes out in each.
    init(startLSN: LSN, interval: Duration) {
        receivedLSN = startLSN
        self.interval = interval
    }

    /// Something of the server's was received up to `lsn`; 0/0 says nothing.
    mutating func received(_ lsn: LSN) { receivedLSN = max(receivedLSN, lsn) }

    /// A keepalive came: it names the end of all that was sent. Taken as it is, for a fast shutdown waits until what is written is just that.
    mutating func keepalive(_ walEnd: LSN) { receivedLSN = walEnd }

    mutating func replyRequested() { isReplyRequested = true }

    /// The status that is due, if one is. `recordedLSN`: what the checkpoint record says.
    mutating func due(at now: Instant, recordedLSN: LSN) -> Status? {
        let isNew = recordedLSN > confirmedLSN
        let elapsed = lastStatusAt.map { now.duration(since: $0) }
        let isTimeUp = elapsed.map { $0 >= interval } ?? true
        let isAnswerDue =
            isReplyRequested
            && (receivedLSN > lastWrittenLSN || elapsed.map { $0 >= Self.answerInterval } ?? true)
        guard isNew || isTimeUp || isAnswerDue else { return nil }
        lastStatusAt = now
        isReplyRequested = false
        lastWrittenLSN = max(receivedLSN, recordedLSN)
        if isNew { confirmedLSN = recordedLSN }
        return Status(writtenLSN: lastWrittenLSN, flushedLSN: isNew ? recordedLSN : .invalid)
    }

    /// How long nothing becomes due by itself.
    func timeUntilDue(at now: Instant) -> Duration {
        guard let lastStatusAt else { return .zero }
        let next = lastStatusAt + (isReplyRequested ? min(Self.answerInterval, interval) : interval)
        return next.duration(since: now)
    }
}
