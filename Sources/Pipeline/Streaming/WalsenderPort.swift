import Glibc
import PostgresReplication
import Threads
import WAL

/// A walsender's connection, the monotonic clock, and `poll`. It belongs to one thread; only the signal is anybody's.
final class WalsenderPort: SlotPort {
    private let replication: ReplicationConnection
    private let wake: WakeSignal

    /// - Parameters:
    ///   - replication: It streams already.
    ///   - wake: Ends a wait, from any thread.
    init(_ replication: consuming ReplicationConnection, wake: WakeSignal) {
        self.replication = replication
        self.wake = wake
    }

    var now: Instant { .now }
    var hasUnsentOutput: Bool { replication.hasUnsentOutput }

    @inline(__always)
    func receiveFrames<HandlerError: Error>(
        onXLogData: (
            _ walStart: LSN, _ walEnd: LSN, _ sendTime: PostgresTimestamp, _ payload: RawSpan
        ) throws(HandlerError) -> FrameContinuation,
        onKeepalive: (
            _ walEnd: LSN, _ sendTime: PostgresTimestamp, _ replyRequested: Bool
        ) throws(HandlerError) -> FrameContinuation
    ) throws(ReceiveError<HandlerError>) -> ReceiveOutcome {
        try replication.receiveFrames(onXLogData: onXLogData, onKeepalive: onKeepalive)
    }

    func sendStandbyStatus(
        written writtenLSN: LSN, flushed flushedLSN: LSN, applied appliedLSN: LSN, replyRequested: Bool
    ) throws(PostgresError) {
        try replication.sendStandbyStatus(
            written: writtenLSN, flushed: flushedLSN, applied: appliedLSN, replyRequested: replyRequested)
    }

    func flush() throws(PostgresError) { try replication.flush() }

    func wait(isListening: Bool, orFor other: Int32?, timeout: Duration) {
        var descriptors: [(descriptor: Int32, isOutputDue: Bool)] = []
        if isListening { descriptors.append((replication.socket, replication.hasUnsentOutput)) }
        if let other { descriptors.append((other, false)) }
        wake.wait(for: descriptors, timeout: timeout)
    }

    func rest(_ duration: Duration) { usleep(UInt32(duration / .microseconds(1))) }
}
