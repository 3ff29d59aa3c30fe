/// What one of the threads that do actions has for itself: its doer, and what it has read of what all share.
final class ActionThread {
    let doer: ActionDoer
    private let worker: WorkerState
    private var reading: WorkerState.Reading?
    private var counters: [WorkerMeters.Key: WorkerMeters.Counted] = [:]

    init(_ doer: ActionDoer, _ worker: WorkerState) {
        self.doer = doer
        self.worker = worker
    }

    /// Connection and observers, as they are now.
    func read() -> WorkerState.Reading {
        let reading = worker.reading(reading)
        self.reading = reading
        return reading
    }

    /// The series of one action of one observer.
    func meters(_ observer: String, _ action: String) -> WorkerMeters.Counted {
        let key = WorkerMeters.Key(observer: observer, action: action)
        if let known = counters[key] { return known }
        let counted = worker.meters.counters(key)
        counters[key] = counted
        return counted
    }
}
