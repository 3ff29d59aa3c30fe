import CNats
import Dispatch
import Synchronization

/// Asks libnats once a second for something that needs its lock, and remembers when it last answered.
///
/// libnats 3.4.1 holds the connection's lock while it dials, and can stay there: when a server falls silent between INFO
/// and PONG, it reads on past its deadline in a busy loop (nats.c issue 707), and a TLS handshake has no deadline at all.
/// Nothing ends that but the server's closing the socket. The probe makes it visible.
final class LockProbe: Sendable {
    private let queue = DispatchQueue(label: "slotstream.nats.probe")
    private let limitNanoseconds: UInt64
    private let answeredAt: Atomic<UInt64>
    /// The address of the `natsConnection`.
    private let connection: UInt
    private let stage = Atomic<Stage>(.open)

    private enum Stage: UInt8, AtomicRepresentable {
        case open, closing, closed
    }

    /// How long closing is waited for; what is buffered is pushed out by it, 500 ms at most.
    private static let closingTime = Duration.seconds(5)

    /// Starts probing `connection`, which must live until ``close()`` returned true.
    init(_ connection: OpaquePointer, limit: Duration) {
        self.connection = UInt(bitPattern: connection)
        limitNanoseconds = limit.nanoseconds
        answeredAt = Atomic(DispatchTime.now().uptimeNanoseconds)
        Self.schedule(queue) { [weak self] in self }
    }

    /// Whether libnats has not answered for longer than the limit, or does not come back from closing.
    var isWedged: Bool {
        switch stage.load(ordering: .acquiring) {
        case .open: break
        case .closing: return true
        case .closed: return false
        }
        let now = DispatchTime.now().uptimeNanoseconds
        let answered = answeredAt.load(ordering: .relaxed)
        return now > answered && now - answered > limitNanoseconds
    }

    /// Ends probing and closes the connection, which needs the same lock: where it is probed, so that whoever closes does not wait for ever.
    /// - Returns: Whether it is closed. If not, nothing of it may be called or destroyed: libnats may yet come back.
    func close() -> Bool {
        guard stage.compareExchange(expected: .open, desired: .closing, ordering: .acquiringAndReleasing).exchanged
        else { return stage.load(ordering: .acquiring) == .closed }
        let isClosed = Latch()
        queue.async {
            natsConnection_Close(OpaquePointer(bitPattern: self.connection))
            self.stage.store(.closed, ordering: .releasing)
            isClosed.open()
        }
        return isClosed.wait(Self.closingTime)
    }

    private static func schedule(_ queue: DispatchQueue, _ owner: @escaping @Sendable () -> LockProbe?) {
        queue.asyncAfter(deadline: .now() + .seconds(1)) {
            guard let probe = owner(), probe.stage.load(ordering: .acquiring) == .open else { return }
            _ = natsConnection_Status(OpaquePointer(bitPattern: probe.connection))
            probe.answeredAt.store(DispatchTime.now().uptimeNanoseconds, ordering: .relaxed)
            schedule(queue, owner)
        }
    }
}
