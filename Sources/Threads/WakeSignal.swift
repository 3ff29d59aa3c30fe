import Glibc
import Synchronization
import WAL

/// Wakes a thread that waits in `poll`: a pipe with at most one byte in it.
///
/// What the wake-up is about must be published before `signal()`; the waiting thread calls `clear()` before it looks.
package final class WakeSignal: Sendable {
    /// To be polled for reading.
    package let readDescriptor: Int32
    private let writeDescriptor: Int32
    private let isSignalled = Atomic<Bool>(false)

    /// - Throws: if the process has no descriptors left.
    package init() throws(SystemError) {
        var descriptors: [Int32] = [-1, -1]
        guard unsafe pipe(&descriptors) == 0 else { throw SystemError(message: "cannot make a pipe: \(unsafe String(cString: strerror(errno)))") }
        readDescriptor = descriptors[0]
        writeDescriptor = descriptors[1]
        for descriptor in descriptors {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
    }

    deinit {
        close(readDescriptor)
        close(writeDescriptor)
    }

    /// From any thread; a system call only if nobody signalled since the last `clear()`.
    package func signal() {
        if isSignalled.exchange(true, ordering: .sequentiallyConsistent) { return }
        var byte: UInt8 = 1
        _ = unsafe write(writeDescriptor, &byte, 1)
    }

    package func clear() {
        var byte: UInt8 = 0
        while unsafe read(readDescriptor, &byte, 1) > 0 {}
        // An exchange, not a store: it reads what `signal()` wrote, so that what was published before that is seen after this.
        _ = isSignalled.exchange(false, ordering: .sequentiallyConsistent)
    }

    /// Waits until this signal, or one of `descriptors` has input, or the time is over.
    package func wait(
        for descriptors: [(descriptor: Int32, isOutputDue: Bool)] = [], timeout: Duration
    ) {
        var polls = [pollfd(fd: readDescriptor, events: Int16(POLLIN), revents: 0)]
        for entry in descriptors {
            polls.append(
                pollfd(
                    fd: entry.descriptor, events: Int16(POLLIN) | (entry.isOutputDue ? Int16(POLLOUT) : 0), revents: 0))
        }
        let milliseconds = max(0, min(timeout.milliseconds, 60_000))
        _ = unsafe poll(&polls, nfds_t(polls.count), Int32(milliseconds))
        clear()
    }
}
