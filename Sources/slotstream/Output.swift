import Glibc
import History
import Operations
import Pipeline
import Synchronization

/// Standard output for data, standard error for everything else; each text in one go, so that lines of several threads do not mix.
enum Output {
    /// How long the end of the process waits for whoever reads standard error.
    private static let flushTime = Duration.seconds(2)

    /// Where a process that logs writes its errors too: in order, and without waiting.
    private static let queue = Mutex<LogQueue?>(nil)

    /// From here on errors are queued behind the log's lines.
    static func errorsGo(to queue: LogQueue) { self.queue.withLock { $0 = queue } }

    /// Waits until what is queued is written, but not for ever.
    static func flush() { queue.withLock { $0 }?.flush(timeout: flushTime) }

    static func data(_ text: String, terminator: String = "\n") { write(text + terminator, to: STDOUT_FILENO) }

    static func error(_ text: String) {
        if let queue = queue.withLock({ $0 }) {
            queue.append(text)
        } else {
            write(text, to: STDERR_FILENO)
        }
    }

    /// Says why a command takes its time.
    static func doubt(_ what: String) { error("reading the stream again, to be sure: \(what)\n") }

    /// Says for what PostgreSQL waits while it makes a slot.
    static func slotWait(_ wait: SlotWait) {
        let holders = wait.lines.map { "  \($0)\n" }.joined()
        error("\(SlotWait.what): waiting for them\n\(holders)  To see them: \(SlotWait.query);\n")
    }

    /// Says what became of what a setup had made before it failed; why it failed is told after that.
    static func failure(_ report: SetupUndoing.Report) {
        for object in report.undone { error("undone: \(object)\n") }
        for object in report.left { error("still there: \(object)\n") }
        if report.goesOn { error("Run `slotstream setup` again: setup goes on with what is there.\n") }
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = bytes[...]
            while let start = UnsafeBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
                let count = Glibc.write(descriptor, start, rest.count)
                if count > 0 {
                    rest = rest.dropFirst(count)
                } else if errno == EPIPE, descriptor == STDOUT_FILENO {
                    // The reader has what it wanted (`tail | head -1`): there is nobody to go on for.
                    Ending.now(ExitStatus.done.rawValue)
                } else if errno == EAGAIN {
                    // Whoever opened it lets nobody wait in write().
                    var descriptors = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&descriptors, 1, -1)
                } else if errno != EINTR {
                    // Where errors go there is nobody to tell them to.
                    guard descriptor == STDOUT_FILENO else { return }
                    error("slotstream: cannot write to standard output: \(String(cString: strerror(errno)))\n")
                    Ending.now(ExitStatus.unexpected.rawValue)
                }
            }
        }
    }
}
