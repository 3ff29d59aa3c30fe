import FoundationEssentials
import History
import JetStreamPublishing
import Threads
import WAL

/// What is kept about a worker's consumer in the key-value bucket: who works, and how far the consumer has come, for the day on which the consumer is gone.
///
/// Always put by compare-and-set on its revision.
package struct WorkerRecord: Codable, Equatable, Sendable {
    package static let schema = "slotstream.observer/1"

    package var schema = WorkerRecord.schema
    /// Random for each process; empty: nobody works, or all do.
    package var holder: String
    /// The holder's machine and process, for people.
    package var place: String
    /// When the holder began; RFC 3339.
    package var since: String
    /// For how long the holder may work after it has put this, by its own clock; others wait longer.
    package var leaseSeconds: Double
    /// When the consumer was made, as its server tells it.
    package var consumerCreated: String
    package var streamCreated: String
    /// Everything up to this sequence was acknowledged.
    package var ackFloor: UInt64
    /// Events that stopping workers have handed back, though it was their last delivery: the server gives them up, and they have not failed. Absent: none.
    package var returned: [UInt64]?

    /// The latest that are kept.
    static let returnedLimit = 1_000

    /// Adds to what was handed back.
    mutating func add(returned sequences: [UInt64]) {
        guard !sequences.isEmpty else { return }
        returned = Array(((returned ?? []) + sequences).suffix(Self.returnedLimit))
    }

    /// Reads the bucket.
    /// - Returns: nil and the revision to expect: there is none.
    /// - Throws: `.malformedResponse` for one that is none of ours: it may be all that tells of a consumer that was there.
    static func read(
        _ configuration: WorkerConfiguration, over connection: JetStreamConnection, timeout: Duration = JetStreamConnection.apiTimeout
    ) throws(JetStreamError) -> (record: WorkerRecord?, revision: UInt64) {
        switch try connection.bucketGet(CheckpointRecord.bucket, key: configuration.recordKey, timeout: timeout) {
        case .bucketMissing, .keyMissing: return (nil, 0)
        case .deleted(let revision): return (nil, revision)
        case .value(let bytes, let revision):
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            guard let record = try? decoder.decode(WorkerRecord.self, from: Data(bytes)), record.schema == schema else {
                throw .malformedResponse(
                    operation:
                        "key \(configuration.recordKey) of bucket \(CheckpointRecord.bucket), which is no record of a worker; to forget the key, type: nats kv del \(CheckpointRecord.bucket) \(configuration.recordKey)"
                )
            }
            return (record, revision)
        }
    }

    /// How long ago it was put, by the server's clock then and this machine's now; nil: not known.
    static func age(_ configuration: WorkerConfiguration, over connection: JetStreamConnection) throws(JetStreamError) -> Duration? {
        let message = try connection.lastMessage(
            JetStreamConnection.bucketStream(CheckpointRecord.bucket),
            subject: JetStreamConnection.bucketSubject(CheckpointRecord.bucket, key: configuration.recordKey))
        return message?.storedAt.flatMap { PostgresTimestamp(rfc3339: $0) }.map { .microseconds(WallClock.unixMicroseconds - $0.unixMicroseconds) }
    }

    /// Puts it behind that revision.
    /// - Returns: The new revision; nil: another has been put meanwhile.
    func put(
        _ configuration: WorkerConfiguration, after revision: UInt64, over connection: JetStreamConnection, timeout: Duration
    ) throws(JetStreamError) -> UInt64? {
        do throws(JetStreamError) {
            return try connection.bucketPut(
                CheckpointRecord.bucket, key: configuration.recordKey, value: Array(ContractJSON.text(self).utf8), expectedRevision: revision,
                timeout: timeout)
        } catch {
            if error.isWrongLastSequence { return nil }
            throw error
        }
    }
}
