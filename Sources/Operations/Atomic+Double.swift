import Synchronization

extension Atomic where Value == Double {
    /// Adds without a lock: tries again while others write. Two adds at once are never lost.
    func add(_ amount: Double) {
        var current = load(ordering: .relaxed)
        while true {
            let result = weakCompareExchange(
                expected: current, desired: current + amount, ordering: .relaxed)
            if result.exchanged { return }
            current = result.original
        }
    }
}
