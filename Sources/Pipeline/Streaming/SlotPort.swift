package import PostgresReplication
import Threads
package import WAL

/// What the code that reads a slot runs on: the walsender's stream, a clock and a wait.
///
/// In the tests a model with a clock of its own stands in its place, and one thread runs everything. It is taken as a generic parameter, never as `any`: a row
/// passes through it.
package protocol SlotPort: AnyObject {
    /// The clock by which everything is due.
    var now: Instant { get }
    /// A status is not sent yet: `flush` sends it.
    var hasUnsentOutput: Bool { get }

    /// Delivers what has arrived, in order, without waiting. As `ReplicationConnection.receiveFrames`.
    func receiveFrames<HandlerError: Error>(
        onXLogData: (
            _ walStart: LSN, _ walEnd: LSN, _ sendTime: PostgresTimestamp, _ payload: RawSpan
        ) throws(HandlerError) -> FrameContinuation,
        onKeepalive: (
            _ walEnd: LSN, _ sendTime: PostgresTimestamp, _ replyRequested: Bool
        ) throws(HandlerError) -> FrameContinuation
    ) throws(ReceiveError<HandlerError>) -> ReceiveOutcome

    /// Tells the server how far we are; never waits. As `ReplicationConnection.sendStandbyStatus`.
    func sendStandbyStatus(
        written writtenLSN: LSN, flushed flushedLSN: LSN, applied appliedLSN: LSN, replyRequested: Bool
    ) throws(PostgresError)

    /// Sends what the socket takes of the statuses that wait.
    func flush() throws(PostgresError)

    /// Waits until somebody wakes this thread, something arrives, or the time is over.
    /// - Parameters:
    ///   - isListening: Whether what the walsender sends ends the wait; a full window leaves its socket unread.
    ///   - other: A socket whose input ends the wait too.
    func wait(isListening: Bool, orFor other: Int32?, timeout: Duration)

    /// Leaves the socket alone for this long, whatever arrives.
    func rest(_ duration: Duration)
}
