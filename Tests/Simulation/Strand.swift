/// A thread of the program's in a simulation: the one that reads from PostgreSQL, or the one that publishes.
///
/// It runs until it asks something of the world, and may rest there: whatever else happens in the world happens meanwhile.
// Sendable because one thread runs all of a simulation.
final class Strand: @unchecked Sendable {
    private var fiber: Fiber?
    /// Somebody has woken it, and it has not waited since.
    var isSignalled = false
    /// When it goes on by itself; nil: at once.
    private(set) var deadline: UInt64?
    private(set) var isDone = false

    init(_ body: @escaping () -> Void) { fiber = Fiber.make(body) }

    /// Whether it would go on now.
    func isReady(at now: UInt64) -> Bool { !isDone && (isSignalled || deadline.map { $0 <= now } ?? true) }

    /// Goes on until it rests again.
    func resume() {
        guard let fiber, !isDone else { return }
        deadline = nil
        if !fiber.resume() {
            isDone = true
            self.fiber = nil
        }
    }

    /// Called by the strand itself: lets others have their turn.
    func rest() { Fiber.rest() }

    /// Called by the strand itself: rests until it is woken, or the time has come.
    func wait(until deadline: UInt64) {
        self.deadline = deadline
        Fiber.rest()
        isSignalled = false
    }
}
