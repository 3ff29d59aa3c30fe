import CLibPQ
import Glibc
public import WAL

extension ReplicationConnection {
    /// Tells the server how far we are. Never waits: what the socket does not take is kept for `flush`, at most one status in
    /// libpq and the newest of those after it.
    ///
    /// - Parameters:
    ///   - writtenLSN: Received. A fast shutdown of the server waits until it has reached all that was sent, if `flushedLSN` is
    ///     0; otherwise until `flushedLSN` has.
    ///   - flushedLSN: The server moves the slot's confirmed position here, even beyond its own WAL, and never sends again what
    ///     lies before. 0/0 confirms nothing.
    ///   - replyRequested: The server is to answer with a keepalive at once.
    /// - Throws: `PostgresError.connectionLost`, or `.server` with the reason that the server gave; frames not yet received
    ///   are then discarded.
    public func sendStandbyStatus(
        written writtenLSN: LSN, flushed flushedLSN: LSN, applied appliedLSN: LSN, replyRequested: Bool = false
    ) throws(PostgresError) {
        stream.waitingStatus = StandbyStatus(
            writtenLSN: writtenLSN, flushedLSN: flushedLSN, appliedLSN: appliedLSN,
            // A request that an older status, dropped now, has made stands.
            replyRequested: replyRequested || stream.waitingStatus?.replyRequested ?? false)
        try flush()
    }

    /// A status is not sent yet: poll the socket for `POLLOUT` too, and call `flush`.
    public var hasUnsentOutput: Bool { stream.hasUnsentBytes || stream.waitingStatus != nil }

    /// Sends what the socket takes.
    /// - Throws: As `sendStandbyStatus`.
    public func flush() throws(PostgresError) {
        switch stream.phase {
        case .streaming: break
        // How the stream ended is `receiveFrames`'s to say; a status means nothing any more.
        case .ending:
            stream.waitingStatus = nil
            return
        case .idle, .over: throw .connectionLost(message: "no stream is running")
        }
        try flushBytes()
        guard !stream.hasUnsentBytes, let status = stream.waitingStatus else { return }
        let message = status.message(at: Self.now())
        let queued = message.withUnsafeBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                PQputCopyData(connection.handle, $0.baseAddress, Int32($0.count))
            }
        }
        switch queued {
        case 1:
            stream.waitingStatus = nil
            try flushBytes()
        case 0:
            stream.hasUnsentBytes = true
        default:
            throw lastWords()
        }
    }

    private func flushBytes() throws(PostgresError) {
        switch PQflush(connection.handle) {
        case 0: stream.hasUnsentBytes = false
        case 1: stream.hasUnsentBytes = true
        default: throw lastWords()
        }
    }

    /// Why sending failed: what the server said last, behind the frames that are still in libpq; else what libpq says.
    private func lastWords() -> PostgresError {
        let failure = PostgresError.connectionLost(message: LibPQConnection.lossMessage(connection.errorMessage))
        stream.phase = .over
        while true {
            var buffer: UnsafeMutablePointer<CChar>?
            let byteCount = PQgetCopyData(connection.handle, &buffer, 1)
            PQfreemem(buffer)
            if byteCount > 0 { continue }
            guard byteCount == -1, PQisBusy(connection.handle) == 0, let pointer = PQgetResult(connection.handle)
            else { return failure }
            let result = LibPQResult(pointer)
            return result.status == PGRES_FATAL_ERROR ? result.error(command: "START_REPLICATION") : failure
        }
    }

    private static func now() -> PostgresTimestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return PostgresTimestamp(unixMicroseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}
