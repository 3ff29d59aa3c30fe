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
    private let isStopped = Atomic<Bool>(false)

    /// Starts probing `connection`, which must live until ``stop()`` returned or ``isWedged`` was true.
    init(_ connection: OpaquePointer, limit: Duration) {
        limitNanoseconds = limit.nanoseconds
        answeredAt = Atomic(DispatchTime.now().uptimeNanoseconds)
        Self.schedule(queue, UInt(bitPattern: connection)) { [weak self] in self }
    }

    /// Whether libnats has not answered for longer than the limit.
    var isWedged: Bool {
        let now = DispatchTime.now().uptimeNanoseconds
        let answered = answeredAt.load(ordering: .relaxed)
        return now > answered && now - answered > limitNanoseconds
    }

    /// Ends probing; when it returns no probe is under way, unless libnats is wedged.
    func stop() {
        isStopped.store(true, ordering: .releasing)
        let isIdle = Latch()
        queue.async { isIdle.open() }
        while !isIdle.wait(.milliseconds(100)) {
            if isWedged { return }
        }
    }

    private static func schedule(
        _ queue: DispatchQueue, _ connection: UInt, _ owner: @escaping @Sendable () -> LockProbe?
    ) {
        queue.asyncAfter(deadline: .now() + .seconds(1)) {
            guard let probe = owner(), !probe.isStopped.load(ordering: .acquiring) else { return }
            _ = natsConnection_Status(OpaquePointer(bitPattern: connection))
            probe.answeredAt.store(DispatchTime.now().uptimeNanoseconds, ordering: .relaxed)
            schedule(queue, connection, owner)
        }
    }
}
