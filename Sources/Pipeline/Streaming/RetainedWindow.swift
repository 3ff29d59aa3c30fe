import Capture
import Glibc
import Synchronization

/// The events that are not known to be stored, oldest first: a ring of bytes between the thread that makes them and the one that publishes them.
///
/// One thread appends, one thread reads and releases; neither takes a lock and neither ever waits for the other. Bounded in bytes; an event that does not fit the ring is kept on its own, so one event over the limit is admitted alone.
///
/// Sendable because the two threads touch disjoint parts: entries from `releasedCount` up to `appendedCount` are read by the publishing thread only, the rest is written by the appending thread only, and both counts are atomics stored after the bytes they stand for. A chunk of entries is made by the appending thread before its first entry counts, and freed by the publishing thread before its last one is released.
package final class RetainedWindow: @unchecked Sendable, EventSink {
    /// Retained events at most, whatever their size: what one entry costs is not counted in bytes.
    static let entryLimit = 8_192
    /// Entries are made and freed this many at a time.
    static let chunkEntryCount = 4_096
    /// One TRUNCATE names as many tables as it likes after there was room for one event. This many chunks hold more than a message of PostgreSQL's (1 GiB, 4 bytes a table) can name, beside a full window.
    private static let chunkCount = 65_536 + entryLimit / chunkEntryCount

    private struct Entry {
        var bytes: UnsafeMutableRawPointer
        var subjectByteCount: Int32
        var messageIDByteCount: Int32
        var payloadByteCount: Int32
        /// The ring's write position behind this entry.
        var ringEnd: UInt64
        var isOutsideRing: Bool
        var header: EventHeader
    }

    let byteLimit: Int
    private let ring: UnsafeMutableRawPointer
    private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Entry>?>

    /// Events handed on since the window was made.
    let appendedCount = Atomic<UInt64>(0)
    /// Events known to be stored, the oldest first.
    let releasedCount = Atomic<UInt64>(0)
    private let releasedRingEnd = Atomic<UInt64>(0)
    private let outsideByteCount = Atomic<Int>(0)
    /// The appending thread's own: where it writes next, counted from the start.
    private var ringEnd: UInt64 = 0
    private let writtenRingEnd = Atomic<UInt64>(0)
    /// The appending thread's own: what it has appended last; nil: nothing.
    private(set) var lastAppended: EventHeader?
    /// The event that the appending thread has no room for, in bytes; -1 if it found room.
    private let refusedByteCount = Atomic<Int>(-1)

    package init(byteLimit: Int) {
        self.byteLimit = byteLimit
        ring = .allocate(byteCount: byteLimit, alignment: 16)
        // Zero, that is nil, without being touched: half a megabyte of which a chunk after the other is needed.
        guard let zeroed = calloc(Self.chunkCount, MemoryLayout<UnsafeMutablePointer<Entry>?>.stride) else {
            preconditionFailure("no memory for the window of retained events")
        }
        chunks = zeroed.bindMemory(to: UnsafeMutablePointer<Entry>?.self, capacity: Self.chunkCount)
    }

    deinit {
        for index in releasedCount.load(ordering: .acquiring)..<appendedCount.load(ordering: .acquiring) {
            let entry = entry(at: index)
            if entry.isOutsideRing { entry.bytes.deallocate() }
        }
        ring.deallocate()
        for index in 0..<Self.chunkCount { chunks[index]?.deallocate() }
        free(chunks)
    }

    // MARK: - The appending thread

    /// Whether an event of `byteCount` may be appended without going over the limit. An empty window takes any.
    func hasRoom(for byteCount: Int) -> Bool {
        let hasRoom = fits(byteCount)
        refusedByteCount.store(hasRoom ? -1 : byteCount, ordering: .releasing)
        return hasRoom
    }

    /// Copies an event in. Callers ask `hasRoom` before they read the row: what comes all the same is kept outside the ring, never refused.
    func accept(_ header: EventHeader, subject: RawSpan, messageID: RawSpan, payload: RawSpan) {
        let byteCount = subject.byteCount + messageID.byteCount + payload.byteCount
        var target: UnsafeMutableRawPointer
        let isOutsideRing: Bool
        if let place = ringPlace(for: byteCount) {
            target = place
            isOutsideRing = false
        } else {
            target = .allocate(byteCount: max(1, byteCount), alignment: 16)
            isOutsideRing = true
            outsideByteCount.add(byteCount, ordering: .relaxed)
        }
        let start = target
        subject.withUnsafeBytes { copy($0, to: &target) }
        messageID.withUnsafeBytes { copy($0, to: &target) }
        payload.withUnsafeBytes { copy($0, to: &target) }
        let index = appendedCount.load(ordering: .relaxed)
        place(for: index).initialize(
            to: Entry(
                bytes: start, subjectByteCount: Int32(subject.byteCount),
                messageIDByteCount: Int32(messageID.byteCount), payloadByteCount: Int32(payload.byteCount),
                ringEnd: ringEnd, isOutsideRing: isOutsideRing, header: header))
        writtenRingEnd.store(ringEnd, ordering: .relaxed)
        lastAppended = header
        appendedCount.store(index + 1, ordering: .releasing)
    }

    /// Where the next entry goes, in a new chunk if it is a chunk's first.
    private func place(for index: UInt64) -> UnsafeMutablePointer<Entry> {
        let (slot, offset) = Self.slot(index)
        if let chunk = chunks[slot], offset > 0 { return chunk + offset }
        let chunk = UnsafeMutablePointer<Entry>.allocate(capacity: Self.chunkEntryCount)
        chunks[slot] = chunk
        return chunk
    }

    /// Contiguous room in the ring; nil if there is none now.
    private func ringPlace(for byteCount: Int) -> UnsafeMutableRawPointer? {
        guard byteCount <= byteLimit else { return nil }
        let offset = Int(ringEnd % UInt64(byteLimit))
        // An event never wraps: what is left at the end of the ring is skipped, and released with it.
        let skipped = byteLimit - offset < byteCount ? byteLimit - offset : 0
        let needed = UInt64(skipped + byteCount)
        guard ringEnd + needed - releasedRingEnd.load(ordering: .acquiring) <= UInt64(byteLimit) else { return nil }
        ringEnd += needed
        return ring + (skipped > 0 ? 0 : offset)
    }

    private func copy(_ bytes: UnsafeRawBufferPointer, to target: inout UnsafeMutableRawPointer) {
        guard let source = bytes.baseAddress else { return }
        target.copyMemory(from: source, byteCount: bytes.count)
        target += bytes.count
    }

    // MARK: - The publishing thread

    func header(at index: UInt64) -> EventHeader { entry(at: index).header }

    /// Its subject, message id and payload together.
    func byteCount(at index: UInt64) -> Int {
        let entry = entry(at: index)
        return Int(entry.subjectByteCount) + Int(entry.messageIDByteCount) + Int(entry.payloadByteCount)
    }

    /// Lends the bytes of a retained event.
    func withEvent<Failure: Error>(
        at index: UInt64,
        _ body: (_ subject: Span<UInt8>, _ messageID: Span<UInt8>, _ payload: Span<UInt8>) throws(Failure) -> Void
    ) throws(Failure) {
        let entry = entry(at: index)
        let bytes = entry.bytes.assumingMemoryBound(to: UInt8.self)
        let subject = UnsafeBufferPointer(start: bytes, count: Int(entry.subjectByteCount))
        let messageID = UnsafeBufferPointer(start: bytes + subject.count, count: Int(entry.messageIDByteCount))
        let payload = UnsafeBufferPointer(
            start: bytes + subject.count + messageID.count, count: Int(entry.payloadByteCount))
        try body(subject.span, messageID.span, payload.span)
    }

    /// The first `count` events since the start are stored: their memory is free again.
    func release(through count: UInt64) {
        var index = releasedCount.load(ordering: .relaxed)
        guard count > index else { return }
        var end = releasedRingEnd.load(ordering: .relaxed)
        while index < count {
            let entry = entry(at: index)
            if entry.isOutsideRing {
                outsideByteCount.subtract(byteCount(at: index), ordering: .relaxed)
                entry.bytes.deallocate()
            }
            end = entry.ringEnd
            let (slot, offset) = Self.slot(index)
            if offset == Self.chunkEntryCount - 1 {
                chunks[slot]?.deallocate()
                chunks[slot] = nil
            }
            index += 1
        }
        releasedRingEnd.store(end, ordering: .releasing)
        releasedCount.store(count, ordering: .releasing)
    }

    /// Whether the appending thread waits until something is released: nothing more is coming before that.
    var isFull: Bool {
        let byteCount = refusedByteCount.load(ordering: .acquiring)
        return byteCount >= 0 && !fits(byteCount)
    }

    // MARK: - Any thread

    private func fits(_ byteCount: Int) -> Bool {
        let used = self.byteCount
        let count = retainedCount
        return count == 0 || (used + byteCount <= byteLimit && count < Self.entryLimit)
    }

    var retainedCount: Int {
        // Released first: a count read later can only be larger.
        let released = releasedCount.load(ordering: .acquiring)
        return Int(appendedCount.load(ordering: .acquiring) - released)
    }

    /// Bytes of all retained events, with what is skipped at the ring's end.
    var byteCount: Int {
        let released = releasedRingEnd.load(ordering: .acquiring)
        return Int(writtenRingEnd.load(ordering: .acquiring) - released) + outsideByteCount.load(ordering: .relaxed)
    }

    private func entry(at index: UInt64) -> Entry {
        let (slot, offset) = Self.slot(index)
        guard let chunk = chunks[slot] else { preconditionFailure("event \(index) is not retained") }
        return chunk[offset]
    }

    private static func slot(_ index: UInt64) -> (chunk: Int, offset: Int) {
        let (chunk, offset) = index.quotientAndRemainder(dividingBy: UInt64(chunkEntryCount))
        return (Int(chunk % UInt64(chunkCount)), Int(offset))
    }
}
