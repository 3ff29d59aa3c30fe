import CoreMetrics
import Dispatch
import Glibc
import Synchronization

/// Log lines on their way to a descriptor. They are written on a thread of their own: whoever logs never waits for whoever reads the log.
///
/// What comes while the queue is full is left out and counted; the count is written, as a line, when there is room again.
package final class LogQueue: Sendable {
    /// What is counted, by why it was left out.
    package static let counterName = "slotstream_log_lines_dropped_total"
    /// Bytes of the lines that wait; as many may be with the thread that writes.
    static let byteLimit = 256 * 1024

    private struct State {
        var lines: [String] = []
        var byteCount = 0
        /// Since the queue was last taken from.
        var droppedCount: UInt64 = 0
        /// The thread writes, or is about to.
        var isWriting = false
    }

    private let descriptor: Int32
    private let notice: @Sendable (_ droppedCount: UInt64) -> String
    private let queue = DispatchQueue(label: "slotstream.log")
    private let state = Mutex(State())
    private let whenFull: any CounterHandler
    private let whenFailed: any CounterHandler

    /// - Parameters:
    ///   - descriptor: Where lines go; it may block, or not.
    ///   - registry: Where lines that were left out are counted.
    ///   - notice: The line that tells of them.
    package init(
        descriptor: Int32, registry: PrometheusRegistry, notice: @escaping @Sendable (_ droppedCount: UInt64) -> String
    ) {
        self.descriptor = descriptor
        self.notice = notice
        whenFull = registry.makeCounter(label: Self.counterName, dimensions: [("cause", "full")])
        whenFailed = registry.makeCounter(label: Self.counterName, dimensions: [("cause", "failed")])
    }

    /// Takes a line, with its line feed. Never waits.
    package func append(_ line: String) {
        let byteCount = line.utf8.count
        let (isDropped, isFirst) = state.withLock { state in
            // What comes behind a line that was left out is left out too: so the notice stands where they are missing.
            guard state.droppedCount == 0, state.byteCount + byteCount <= Self.byteLimit else {
                state.droppedCount += 1
                return (true, false)
            }
            state.lines.append(line)
            state.byteCount += byteCount
            defer { state.isWriting = true }
            return (false, !state.isWriting)
        }
        if isDropped { whenFull.increment(by: 1) }
        if isFirst { queue.async { self.writeAll() } }
    }

    /// Waits until all that was appended is written, at most so long.
    package func flush(timeout: Duration) {
        // By the monotonic clock: Dispatch's semaphores wait by the wall clock, which may be set back.
        let deadline = ContinuousClock.now + timeout
        while state.withLock({ $0.isWriting }), ContinuousClock.now < deadline { poll(nil, 0, 5) }
    }

    private func writeAll() {
        while true {
            let (lines, droppedCount) = state.withLock { state in
                defer {
                    state.isWriting = !state.lines.isEmpty
                    state.lines = []
                    state.byteCount = 0
                    state.droppedCount = 0
                }
                return (state.lines, state.droppedCount)
            }
            if lines.isEmpty { return }
            for line in lines { write(line) }
            if droppedCount > 0 { write(notice(droppedCount)) }
        }
    }

    private func write(_ line: String) {
        var line = line
        let isWritten = line.withUTF8 { bytes in
            var rest = unsafe bytes[...]
            while let start = unsafe UnsafeBufferPointer(rebasing: rest).baseAddress, unsafe !rest.isEmpty {
                let count = unsafe Glibc.write(descriptor, start, rest.count)
                if count > 0 {
                    unsafe rest = rest.dropFirst(count)
                } else if errno == EAGAIN {
                    // Whoever opened it lets nobody wait in write().
                    var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    unsafe poll(&entry, 1, -1)
                } else if errno != EINTR {
                    // No reader, a full disk: the next line may fare better.
                    return false
                }
            }
            return true
        }
        if !isWritten { whenFailed.increment(by: 1) }
    }
}
