import Glibc
import JetStreamPublishing
import Synchronization
import Threads
import WAL

/// The right to work alone, for as long as its record is put again in time.
///
/// The holder counts from before it puts the record, everybody else from when a record was first seen, each by a monotonic clock of its own: no two ever
/// hold it, whatever their clocks say. What ends in neither way is an attempt that began in time and lasts.
final class WorkerLease: Sendable {
    private struct Values {
        var record: WorkerRecord
        var revision: UInt64
        var isHeld = false
        /// The revision of somebody else's that is waited for, and since when.
        var seen: (revision: UInt64, at: Instant)?
    }

    /// The longest that others wait for a holder that is gone.
    private static let longest = Duration.seconds(10)
    private static let shortest = Duration.seconds(2)
    /// The part of it after which the holder begins nothing more.
    private static let holdersPart = 0.7

    let duration: Duration
    private let configuration: WorkerConfiguration
    private let identity: String
    private let values: Mutex<Values>

    /// - Parameter ackWait: The consumer's: half of it is waited for at most, so that nobody's events wait longer for a worker that is gone than without a lease.
    init(_ configuration: WorkerConfiguration, ackWait: Duration, identity: String, consumer: ConsumerInfo, streamCreated: String) {
        self.configuration = configuration
        self.identity = identity
        duration = min(Self.longest, max(Self.shortest, ackWait / 2))
        values = Mutex(
            Values(
                record: WorkerRecord(
                    holder: identity, place: Self.place, since: PostgresTimestamp.now.description, leaseSeconds: duration / .seconds(1),
                    consumerCreated: consumer.created, streamCreated: streamCreated, ackFloor: consumer.ackFloorSequence), revision: 0))
    }

    /// Machine and process.
    static var place: String {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        return "\(String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)), pid \(getpid())"
    }

    /// Until when its holder may begin something, if it was put by a call that began then.
    private func validity(from began: Instant) -> Instant { began + duration * Self.holdersPart }

    /// One try to get it.
    /// - Returns: Until when it is held, and whether somebody had it who has not let it go; nil and who works: it is somebody else's.
    func take(over connection: JetStreamConnection) throws(JetStreamError) -> (until: Instant?, hadHolder: Bool, holder: String?) {
        let began = Instant.now
        let (found, revision) = try WorkerRecord.read(configuration, over: connection, timeout: duration / 3)
        if let found, !found.holder.isEmpty, found.holder != identity {
            let seen = values.withLock { values in
                if values.seen?.revision != revision { values.seen = (revision, began) }
                return values.seen?.at ?? began
            }
            // As long as that holder said, or as we would, where that is longer.
            let wait = max(duration, .seconds(min(max(found.leaseSeconds, 0), 3_600)))
            guard began.duration(since: seen) >= wait else { return (nil, true, found.place) }
        }
        values.withLock { $0.record.returned = found?.returned }
        let hadHolder = found.map { !$0.holder.isEmpty && $0.holder != identity } ?? false
        return try put(after: revision, began: began, over: connection)
            ? (validity(from: began), hadHolder, nil) : (nil, hadHolder, found?.place)
    }

    /// Puts it again.
    /// - Parameter ackFloor: How far the consumer has come; nil: not known.
    /// - Returns: Until when it is held; nil: it is lost.
    func renew(ackFloor: UInt64?, over connection: JetStreamConnection) throws(JetStreamError) -> Instant? {
        let began = Instant.now
        let revision = values.withLock { values in
            if let ackFloor { values.record.ackFloor = max(values.record.ackFloor, ackFloor) }
            return values.revision
        }
        if try put(after: revision, began: began, over: connection) { return validity(from: began) }
        // A put of ours that was not answered has moved it on, or somebody else's.
        let (found, now) = try WorkerRecord.read(configuration, over: connection, timeout: duration / 3)
        guard found?.holder == identity else { return nil }
        return try put(after: now, began: began, over: connection) ? validity(from: began) : nil
    }

    private func put(after revision: UInt64, began: Instant, over connection: JetStreamConnection) throws(JetStreamError) -> Bool {
        let record = values.withLock { $0.record }
        guard let stored = try record.put(configuration, after: revision, over: connection, timeout: duration / 3) else { return false }
        values.withLock { values in
            values.revision = stored
            values.isHeld = true
        }
        return true
    }

    /// What stopping workers have handed back on the last delivery.
    var returned: Set<UInt64> { Set(values.withLock { $0.record.returned } ?? []) }

    /// Lets others have it at once.
    /// - Parameter sequences: What this worker hands back on the last delivery.
    func release(ackFloor: UInt64?, returned sequences: [UInt64], over connection: JetStreamConnection) {
        let (record, revision, isHeld) = values.withLock { values in
            var record = values.record
            record.holder = ""
            record.add(returned: sequences)
            if let ackFloor { record.ackFloor = max(record.ackFloor, ackFloor) }
            defer { values.isHeld = false }
            return (record, values.revision, values.isHeld)
        }
        guard isHeld else { return }
        // Best effort: it runs out by itself.
        _ = try? record.put(configuration, after: revision, over: connection, timeout: .seconds(1))
    }
}
