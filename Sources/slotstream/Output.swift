import Glibc
import Pipeline

/// Standard output for data, standard error for everything else; each text in one go, so that lines of several threads do not mix.
enum Output {
    static func data(_ text: String, terminator: String = "\n") { write(text + terminator, to: STDOUT_FILENO) }

    static func error(_ text: String) { write(text, to: STDERR_FILENO) }

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
                } else if errno != EINTR {
                    return
                }
            }
        }
    }
}
