import CFibers

/// A line of execution of its own in the one thread: it runs until it rests.
///
/// They are kept and used again, since a stack costs more than a schedule.
final class Fiber {
    private static let stackByteCount = 512 * 1024
    // Sendable because one thread runs all of a simulation.
    nonisolated(unsafe) private static var idle: [Fiber] = []

    private let handle: OpaquePointer
    private var body: (() -> Void)?

    private init() {
        slotstream_fibers_begin()
        guard let handle = slotstream_fiber_make(Self.stackByteCount) else { preconditionFailure("no memory for a fiber") }
        self.handle = handle
    }

    /// One that runs `body` when it is resumed.
    static func make(_ body: @escaping () -> Void) -> Fiber {
        let fiber = idle.popLast() ?? Fiber()
        fiber.body = body
        slotstream_fiber_give(
            fiber.handle,
            { context in
                guard let context else { return }
                let fiber = Unmanaged<Fiber>.fromOpaque(context).takeUnretainedValue()
                fiber.body?()
                fiber.body = nil
            }, Unmanaged.passUnretained(fiber).toOpaque())
        return fiber
    }

    /// Goes on with it until it rests.
    /// - Returns: Whether there is more of it; if not, it is not to be used any more.
    func resume() -> Bool {
        if slotstream_fiber_resume(handle) { return true }
        Self.idle.append(self)
        return false
    }

    /// Leaves the fiber that runs now, until it is resumed.
    static func rest() { slotstream_fiber_rest() }
}
