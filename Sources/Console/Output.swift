import Glibc
import History
package import Operations
import Synchronization

/// Standard output for data, standard error for everything else; each text in one go, so that lines of several threads do not mix.
package enum Output {
    /// How long the end of the process waits for whoever reads standard error.
    private static let flushTime = Duration.seconds(2)

    /// Where a process that logs writes its errors too: in order, and without waiting.
    private static let queue = Mutex<LogQueue?>(nil)

    /// From here on errors are queued behind the log's lines.
    package static func errorsGo(to queue: LogQueue) { self.queue.withLock { $0 = queue } }

    /// Waits until what is queued is written, but not for ever.
    package static func flush() { queue.withLock { $0 }?.flush(timeout: flushTime) }

    /// What the command was asked for.
    package static func data(_ text: String, terminator: String = "\n") { write(text + terminator, to: STDOUT_FILENO) }

    /// Everything else: errors, progress, questions.
    package static func error(_ text: String) {
        if let queue = queue.withLock({ $0 }) {
            queue.append(text)
        } else {
            write(text, to: STDERR_FILENO)
        }
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
                    error("\(Program.name): cannot write to standard output: \(String(cString: strerror(errno)))\n")
                    Ending.now(ExitStatus.unexpected.rawValue)
                }
            }
        }
    }
}
