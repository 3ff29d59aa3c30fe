package import History
package import JetStreamPublishing
import Threads
package import WAL

/// All that publishing asks of the world: JetStream, a clock, and chance.
///
/// In the program it is ``NATSLink``; a model of JetStream with a time of its own can stand in its place, and then the same code runs in one thread: whatever waits,
/// a request or ``wait(timeout:)``, lets the model go on meanwhile. Used as a generic parameter in the module of its users, so that it costs nothing.
package protocol StreamPort {
    associatedtype Reader: StreamReader

    // MARK: Publishing

    /// Hands one message to the client, chained to the one before it; see ``JetStreamConnection``. Returns before anything is stored.
    func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        token: UInt64, epoch: UInt32, previousMessageID: Span<UInt8>?
    ) throws(JetStreamError)

    /// The same for a message of an atomic batch; `token` is the last message's.
    func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        token: UInt64, epoch: UInt32, batch: BatchMember
    ) throws(JetStreamError)

    /// The same for a message of a fast batch.
    func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        epoch: UInt32, fastBatch: FastBatchMember
    ) throws(JetStreamError)

    /// Ends a fast batch behind its last message.
    func endFastBatch(base: UInt64, ordinal: UInt64, subject: Span<UInt8>, epoch: UInt32) throws(JetStreamError)

    /// Sends now what the client has buffered.
    func sendBuffered()

    /// The same, and waits until the server has seen it.
    func flush(timeout: Duration) throws(JetStreamError)

    // MARK: What comes back

    /// Acks of another epoch no longer count.
    func beginEpoch(_ epoch: UInt32)

    /// Moves the answers that have come into `batch`, whose former contents are dropped.
    func drainAcks(into batch: inout AckBatch)

    /// What happened to the connection, oldest first.
    func takeEvents() -> [ConnectionEvent]

    /// Whether the link is up, as far as is known.
    var isConnected: Bool { get }

    /// Makes a connection beside this one, and closes it: what stands in the way of a new one is thrown.
    func connectBeside(
        _ options: JetStreamConnectionOptions, stream: String, isWanted: () -> Bool
    ) throws(StreamerError)

    // MARK: Asking

    /// Reads the stream and the bucket; each call waits for its answer.
    var reader: Reader { get }

    /// Asks the stream's leader to step down.
    func stepDownLeader(_ stream: String) throws(JetStreamError)

    // MARK: The record

    /// Puts `key` of the streamer's bucket if it has `expectedRevision`, and does not wait: the answer comes with the acks, under `token`.
    func startPut(
        _ value: [UInt8], key: String, expectedRevision: UInt64, token: UInt64
    ) throws(JetStreamError)

    /// The same, and waits.
    /// - Returns: The new revision.
    func put(
        _ value: [UInt8], key: String, expectedRevision: UInt64, timeout: Duration
    ) throws(JetStreamError) -> UInt64

    // MARK: Time and chance

    /// The monotonic clock.
    var now: Instant { get }

    /// The clock that people set.
    var wallClock: PostgresTimestamp { get }

    /// Waits until something has come, or somebody woke the publisher, or the time is over.
    func wait(timeout: Duration)

    /// Any number, each as likely.
    func random() -> UInt64
}

extension StreamPort {
    /// How far the wall clock is ahead of the monotonic one: it changes when it is set.
    var wallClockOffset: Duration { .microseconds(wallClock.unixMicroseconds) - .nanoseconds(now.nanoseconds) }
}
