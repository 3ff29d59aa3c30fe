import Glibc
import JetStreamPublishing

/// The schedule, with the threads that wait for it.
///
/// Waits by the monotonic clock, as ``ContinuousClock`` counts.
final class WorkBoard: @unchecked Sendable {
    // Sendable because all that changes is touched with the mutex held only, and a condition is there for several threads.

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    /// There is work, or none will come any more.
    private let work = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// One has ended, or waits.
    private let ended = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var schedule = JobSchedule()
    /// What was acknowledged lately: a delivery of it that was under way is no work.
    private var done = RecentMessages()
    private var mode = Mode.paused

    /// Longer nobody waits without looking.
    private static let idleTime = Duration.seconds(1)

    /// What threads may take.
    private enum Mode {
        /// Nothing yet, or nothing any more.
        case paused
        case working
        /// What runs may end, and nothing else begins.
        case windingDown
        /// The threads end.
        case over
    }

    init() {
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(work, &attributes)
        pthread_cond_init(ended, &attributes)
        pthread_condattr_destroy(&attributes)
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_cond_destroy(work)
        pthread_cond_destroy(ended)
        pthread_mutex_destroy(mutex)
        work.deallocate()
        ended.deallocate()
        mutex.deallocate()
    }

    private func locked<Value>(_ body: () -> Value) -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    var count: Int { locked { schedule.count } }
    /// What is held, and of it what waits for hosts that nothing goes to for a while.
    var load: (count: Int, parkedCount: Int, byteCount: Int) { locked { (schedule.count, schedule.parkedCount, schedule.byteCount) } }
    var runningCount: Int { locked { schedule.running.count } }

    /// What is held, in the order of the stream.
    var all: [EventJob] { locked { schedule.all } }

    /// What is known of the sequence, of the stream's that is read now.
    func known(_ sequence: UInt64) -> Known? {
        locked {
            if let held = schedule.job(sequence) { return .held(held) }
            return done.contains(where: { $0.sequence == sequence }) ? .done : nil
        }
    }

    /// Threads may take what is ready, from here on.
    func begin() {
        locked {
            mode = .working
            pthread_cond_signal(work)
        }
    }

    /// Threads take nothing new, for a while or for good; what runs goes on.
    func pause() { locked { mode = .paused } }

    /// What is known of a message before it is taken in.
    enum Known {
        case held(EventJob)
        /// It was acknowledged lately.
        case done
        /// Another stream's message is held under the same sequence.
        case other
    }

    /// What is known of the message; nil: nothing, and then `make` is admitted.
    func admit(_ message: StoredMessage, _ make: () -> EventJob) -> Known? {
        let known: Known? = locked {
            if let held = schedule.job(message.sequence) { return held.isSame(message) ? .held(held) : .other }
            return done.contains(EventJob.Identity(message)) ? .done : nil
        }
        if let known { return known }
        let job = make()
        locked {
            schedule.admit(job)
            pthread_cond_signal(work)
        }
        return nil
    }

    /// Waits for the next event to be worked on; nil: the thread is to end.
    func take() -> EventJob? {
        locked {
            while mode != .over {
                let now = ContinuousClock.now
                if mode == .working, let job = schedule.take(now) {
                    // One wakes the next, and not one all: most find nothing.
                    if schedule.hasReady { pthread_cond_signal(work) }
                    return job
                }
                wait(for: work, mode == .working ? schedule.nextDue.map { $0 - now } ?? Self.idleTime : Self.idleTime)
            }
            return nil
        }
    }

    /// One that runs is to be taken again at that time.
    /// - Parameter session: The one of the moment.
    /// - Returns: Whether it will be: no longer, while the worker stops, or where it belongs to a session that is over.
    func postpone(_ job: EventJob, until instant: ContinuousClock.Instant, in session: UInt64) -> Bool {
        locked {
            guard mode != .windingDown, mode != .over, job.isOf(session) else {
                schedule.end(job.sequence)
                pthread_cond_signal(ended)
                return false
            }
            schedule.postpone(job.sequence, until: instant)
            // Whoever waits may have to wait less.
            pthread_cond_signal(work)
            pthread_cond_signal(ended)
            return true
        }
    }

    /// The next messages may be another stream's.
    func forgetDone() { locked { done = RecentMessages() } }

    /// One that runs has ended, and the server knows.
    func end(_ job: EventJob) {
        locked {
            schedule.end(job.sequence)
            done.insert(EventJob.Identity(job.message))
            pthread_cond_signal(ended)
        }
    }

    /// Gives up all that does not run; what runs may end.
    /// - Returns: What was given up, in the order of the stream.
    func windDown() -> [EventJob] {
        locked {
            mode = .windingDown
            return schedule.giveUpIdle()
        }
    }

    /// Waits until nothing runs any more, or the time is over.
    /// - Returns: Whether nothing runs.
    func waitUntilIdle(_ timeout: Duration) -> Bool {
        let deadline = ContinuousClock.now + timeout
        return locked {
            while !schedule.running.isEmpty {
                let rest = deadline - .now
                guard rest > .zero else { return false }
                wait(for: ended, rest)
            }
            return true
        }
    }

    /// Waits until one has ended or waits, or the time is over.
    func waitForRoom(_ timeout: Duration) { locked { wait(for: ended, timeout) } }

    /// The threads end, each when it has done what it runs.
    func close() {
        locked {
            mode = .over
            pthread_cond_broadcast(work)
        }
    }

    /// With the mutex held.
    private func wait(for condition: UnsafeMutablePointer<pthread_cond_t>, _ duration: Duration) {
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        let nanoseconds = max(0, min(duration / .nanoseconds(1), 60e9))
        let end = deadline.tv_nsec + Int(nanoseconds)
        deadline.tv_sec += end / 1_000_000_000
        deadline.tv_nsec = end % 1_000_000_000
        pthread_cond_timedwait(condition, mutex, &deadline)
    }
}
