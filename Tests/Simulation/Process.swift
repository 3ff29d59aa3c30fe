import History

/// A streamer's process: it runs, is frozen, dies, or ends.
final class Process {
    enum Life {
        case running
        /// Stopped from outside: it goes on where it was.
        case frozen
        /// Killed: nothing that it does has any effect.
        case dead
        /// It has ended by itself.
        case over
    }

    unowned let world: World
    let number: Int
    var life = Life.running
    /// Why it ended by itself; nil: it was asked to.
    var reason: StopReason?
    var strands: [Strand] = []
    var link: ModelLink?
    var walsender: Walsender?
    /// Asks it to end in order.
    var requestStop: (() -> Void)?
    /// Ends the strand that publishes.
    var stopPublisher: (() -> Void)?
    /// The latest keepalive's position.
    var keepaliveLSN: UInt64 = 0
    /// What may be confirmed once it is recorded.
    var confirmable: (() -> UInt64)?
    /// So far the clock of a dead process has run ahead: all its deadlines pass.
    private var lead: UInt64 = 0

    init(_ world: World, number: Int) {
        self.world = world
        self.number = number
    }

    var isDead: Bool { life == .dead }

    /// Whether all its strands have ended.
    var isGone: Bool { strands.allSatisfy(\.isDone) }

    /// Its monotonic clock.
    var now: UInt64 {
        guard isDead else { return world.now }
        lead += 1_000_000_000
        return world.now + lead
    }

    /// Lets go of what knows it in turn.
    func letGo() {
        strands = []
        requestStop = nil
        stopPublisher = nil
        confirmable = nil
        link = nil
        walsender = nil
    }

    /// Called before and after whatever a strand asks of the world: it may be killed there, and others may have their turn.
    func pass(_ strand: Strand) {
        guard !isDead, world.isRestful(self) else { return }
        strand.rest()
    }

    /// Asked to end in order.
    func stop() {
        requestStop?()
        strands.first?.isSignalled = true
    }

    /// It has ended for a reason.
    func stopped(_ reason: StopReason, _ message: String) {
        guard life != .dead else { return }
        life = .over
        self.reason = reason
        world.tell { "process \(number) stops, \(reason.rawValue): \(message)" }
        world.judge(reason, message, of: self)
    }

    /// It has ended as it was asked to.
    func ended() {
        guard life != .dead else { return }
        life = .over
        world.tell { "process \(number) has ended" }
    }

    /// Whether nothing of what it has handed on is under way.
    var isQuiet: Bool { life != .running || link.map { !$0.hasMessage && !$0.hasReply } ?? true }

    /// It is killed: its strands find out at their next step.
    func die() {
        guard life == .running || life == .frozen else { return }
        life = .dead
        world.tell { "process \(number) dies" }
        link?.breakForDeath()
        stopPublisher?()
        for strand in strands { strand.isSignalled = true }
    }
}
