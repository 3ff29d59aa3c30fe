import Glibc

/// How the process ends: at once, without what the libraries have registered for its end.
///
/// Threads of ours and of theirs are still ending then, and OpenSSL, which libpq loads, frees at exit what such a thread frees as well: a rare abort in `malloc`
/// of a process that had done all its work. The kernel takes back everything.
package enum Ending {
    package static func now(_ status: Int32) -> Never {
        Output.flush()
        // Ours is written now; the parser's may be buffered.
        fflush(nil)
        _exit(status)
    }
}
