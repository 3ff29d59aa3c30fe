import History
import JetStreamPublishing
import Threads
import WAL

extension NATSLink: StreamPort {
    var reader: JetStreamConnection { connection }

    func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        token: UInt64, epoch: UInt32, previousMessageID: Span<UInt8>?
    ) throws(JetStreamError) {
        try connection.publish(
            subject: subject, messageID: messageID, payload: payload, expectedLastSequence: expectedLastSequence,
            token: token, epoch: epoch, previousMessageID: previousMessageID)
    }

    func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        token: UInt64, epoch: UInt32, batch: BatchMember
    ) throws(JetStreamError) {
        try connection.publish(
            subject: subject, messageID: messageID, payload: payload, expectedLastSequence: expectedLastSequence,
            token: token, epoch: epoch, batch: batch)
    }

    func publish(
        subject: Span<UInt8>, messageID: Span<UInt8>, payload: Span<UInt8>, expectedLastSequence: UInt64,
        epoch: UInt32, fastBatch: FastBatchMember
    ) throws(JetStreamError) {
        try connection.publish(
            subject: subject, messageID: messageID, payload: payload, expectedLastSequence: expectedLastSequence,
            epoch: epoch, fastBatch: fastBatch)
    }

    func endFastBatch(base: UInt64, ordinal: UInt64, subject: Span<UInt8>, epoch: UInt32) throws(JetStreamError) {
        try connection.endFastBatch(base: base, ordinal: ordinal, subject: subject, epoch: epoch)
    }

    func sendBuffered() { connection.sendBuffered() }

    func flush(timeout: Duration) throws(JetStreamError) { try connection.flush(timeout: timeout) }

    func beginEpoch(_ epoch: UInt32) { mailbox.beginEpoch(epoch) }

    func drainAcks(into batch: inout AckBatch) { mailbox.drain(into: &batch) }

    var isConnected: Bool { connection.isConnected }

    func connectBeside(
        _ options: JetStreamConnectionOptions, stream: String, isWanted: () -> Bool
    ) throws(StreamerError) {
        try NATSLink.connected(options, stream: stream, isWanted: isWanted).connection.close()
    }

    func stepDownLeader(_ stream: String) throws(JetStreamError) { try connection.stepDownLeader(stream) }

    func startPut(
        _ value: [UInt8], key: String, expectedRevision: UInt64, token: UInt64
    ) throws(JetStreamError) {
        try connection.publish(
            subject: JetStreamConnection.bucketSubject(CheckpointRecord.bucket, key: key), payload: value,
            headers: JetStreamConnection.bucketHeaders(expectedRevision: expectedRevision), token: token)
    }

    func put(
        _ value: [UInt8], key: String, expectedRevision: UInt64, timeout: Duration
    ) throws(JetStreamError) -> UInt64 {
        try connection.bucketPut(
            CheckpointRecord.bucket, key: key, value: value, expectedRevision: expectedRevision, timeout: timeout)
    }

    var now: Instant { .now }

    var wallClock: PostgresTimestamp { .now }

    func wait(timeout: Duration) { wake.wait(timeout: timeout) }

    func random() -> UInt64 { .random(in: .min ... .max) }

    /// How the reading thread sees it.
    var standing: Handover.Connection {
        Handover.Connection(
            isConnected: { [connection] in connection.isConnected },
            wedgedAt: { [connection] in connection.isWedged ? connection.connectedURL : nil })
    }
}
