/// Which event is worked on next: in order within an entity, beside one another otherwise.
///
/// An entity's events stand in a lane. The first of a lane is ready, runs, or waits for its next attempt; those behind it wait until it has ended. An event without
/// an entity has a lane of its own. A value without a clock or a thread.
struct JobSchedule {
    private struct Lane {
        /// In the order of the stream; the first is its head.
        var sequences: [UInt64]
    }

    private var jobs: [UInt64: EventJob] = [:]
    private var lanes: [String: Lane] = [:]
    /// Heads that can run, in the order in which they became ready.
    private var ready: [UInt64] = []
    private var readyStart = 0
    /// Heads that wait, the soonest last.
    private var waiting: [(at: ContinuousClock.Instant, sequence: UInt64)] = []
    private(set) var running: Set<UInt64> = []

    /// Events that are held, whatever becomes of them.
    var count: Int { jobs.count }
    /// Their bytes.
    private(set) var byteCount = 0

    /// Of those, the events that wait for a host that nothing goes to for a while, with what waits behind them.
    var parkedCount: Int {
        waiting.reduce(0) { sum, next in
            guard let job = jobs[next.sequence], job.isParked else { return sum }
            return sum + (job.lane.flatMap { lanes[$0]?.sequences.count } ?? 1)
        }
    }

    /// All that are held, in the order of the stream.
    var all: [EventJob] { jobs.values.sorted { $0.sequence < $1.sequence } }

    /// The event of that sequence, if it is held.
    func job(_ sequence: UInt64) -> EventJob? { jobs[sequence] }

    /// Takes a new event in.
    mutating func admit(_ job: EventJob) {
        jobs[job.sequence] = job
        byteCount += job.byteCount
        guard let key = job.lane else { return append(job.sequence) }
        guard var lane = lanes[key], let head = lane.sequences.first else {
            lanes[key] = Lane(sequences: [job.sequence])
            return append(job.sequence)
        }
        let place = lane.sequences.firstIndex { $0 > job.sequence } ?? lane.sequences.endIndex
        // A redelivery that comes late goes before what has not begun.
        if place == 0, let first = jobs[head], !running.contains(head), !first.hasBegun {
            lane.sequences.insert(job.sequence, at: 0)
            unready(head)
            append(job.sequence)
        } else {
            lane.sequences.insert(job.sequence, at: max(1, place))
        }
        lanes[key] = lane
    }

    /// The next event to be worked on, which runs from here on; nil: none can be now.
    mutating func take(_ now: ContinuousClock.Instant) -> EventJob? {
        while let next = waiting.last, next.at <= now {
            waiting.removeLast()
            append(next.sequence)
        }
        while readyStart < ready.count {
            let sequence = ready[readyStart]
            readyStart += 1
            if readyStart > 1_024, readyStart * 2 > ready.count {
                ready.removeFirst(readyStart)
                readyStart = 0
            }
            guard let job = jobs[sequence], !running.contains(sequence) else { continue }
            running.insert(sequence)
            return job
        }
        return nil
    }

    /// Whether another can perhaps be taken at once.
    var hasReady: Bool { readyStart < ready.count }

    /// When the next of those that wait is due; nil: none waits.
    var nextDue: ContinuousClock.Instant? { waiting.last?.at }

    /// One that runs is to be taken again at that time.
    mutating func postpone(_ sequence: UInt64, until instant: ContinuousClock.Instant) {
        guard running.remove(sequence) != nil, jobs[sequence] != nil else { return }
        let place = waiting.firstIndex { $0.at <= instant } ?? waiting.endIndex
        waiting.insert((instant, sequence), at: place)
    }

    /// One that is held has ended, or is given up: the next of its lane is ready.
    mutating func end(_ sequence: UInt64) {
        let didRun = running.remove(sequence) != nil
        guard let job = jobs.removeValue(forKey: sequence) else { return }
        byteCount -= job.byteCount
        if !didRun { waiting.removeAll { $0.sequence == sequence } }
        guard let key = job.lane, var lane = lanes[key] else { return }
        let wasHead = lane.sequences.first == sequence
        lane.sequences.removeAll { $0 == sequence }
        lanes[key] = lane.sequences.isEmpty ? nil : lane
        if wasHead, let next = lane.sequences.first { append(next) }
    }

    /// Gives up all that does not run; in the order of the stream.
    mutating func giveUpIdle() -> [EventJob] {
        let idle = all.filter { !running.contains($0.sequence) }
        for job in idle {
            jobs.removeValue(forKey: job.sequence)
            byteCount -= job.byteCount
        }
        lanes = lanes.compactMapValues { lane in
            let kept = lane.sequences.filter { jobs[$0] != nil }
            return kept.isEmpty ? nil : Lane(sequences: kept)
        }
        ready = []
        readyStart = 0
        waiting = []
        return idle
    }

    private mutating func append(_ sequence: UInt64) { ready.append(sequence) }

    private mutating func unready(_ sequence: UInt64) {
        waiting.removeAll { $0.sequence == sequence }
        for index in readyStart..<ready.count where ready[index] == sequence {
            ready.remove(at: index)
            return
        }
    }
}
