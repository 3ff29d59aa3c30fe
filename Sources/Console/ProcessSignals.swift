package import Glibc
import History
package import Logging
package import ServiceLifecycle

/// The signals that end a process that does not handle them: taken by the main thread while `run` streams, so that none ends it without a word.
package enum ProcessSignals {
    /// Faults of our own, signals that do nothing by default or stop the process for a while, and those that are ignored: a write tells of both.
    private static let left: Set<Int32> = [
        SIGKILL, SIGSTOP, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGTSTP,
        SIGTTIN, SIGTTOU, SIGPIPE, SIGXFSZ,
    ]

    private static let channel = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(16))

    /// What has come since `take()`, in its order.
    package static var arrivals: AsyncStream<Int32> { channel.stream }

    /// A closed pipe and a file that may not grow are told by the write to it, from the first line on.
    package static func ignoreFailedWrites() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
    }

    /// Blocks them; to be called on the main thread, while there is no other: those that come later inherit that.
    /// - Returns: What `deliver` waits for.
    package static func take() -> sigset_t {
        var taken = sigset_t()
        sigemptyset(&taken)
        for number in Int32(1)...64 where !left.contains(number) {
            // Handled, as far as others see; blocked, it is never called. The C library keeps two for itself, and refuses.
            let former = unsafeBitCast(signal(number) { _ in }, to: Int.self)
            // nohup's SIGHUP stays ignored; a shell without job control ignores SIGINT for whom it starts in the background, and SIGTERM nobody does.
            if former == unsafeBitCast(SIG_IGN, to: Int.self), number != SIGINT, number != SIGTERM {
                signal(number, SIG_IGN)
            } else if former != unsafeBitCast(SIG_ERR, to: Int.self) {
                sigaddset(&taken, number)
            }
        }
        pthread_sigmask(SIG_BLOCK, &taken, nil)
        return taken
    }

    /// Hands on what comes, for as long as the process lives.
    package static func deliver(_ taken: sigset_t) -> Never {
        var taken = taken
        while true {
            var number: Int32 = 0
            if sigwait(&taken, &number) == 0 { channel.continuation.yield(number) }
        }
    }

    /// `SIGHUP`; the number of one that hardly anybody sends.
    package static func name(_ number: Int32) -> String {
        switch number {
        case SIGHUP: "SIGHUP"
        case SIGINT: "SIGINT"
        case SIGQUIT: "SIGQUIT"
        case SIGTERM: "SIGTERM"
        case SIGUSR1: "SIGUSR1"
        case SIGUSR2: "SIGUSR2"
        case SIGALRM: "SIGALRM"
        case SIGPWR: "SIGPWR"
        case SIGXCPU: "SIGXCPU"
        default: "signal \(number)"
        }
    }

    /// Whether that signal means the end: all but those by which others ask a process to tell something.
    package static func isStop(_ number: Int32) -> Bool { number != SIGUSR1 && number != SIGUSR2 }

    /// Whether that signal, after another one, means the end at once. A terminal that goes may send several of the others.
    package static func isImpatient(_ number: Int32) -> Bool { number == SIGTERM || number == SIGINT }
}

extension ProcessSignals {
    /// Stops `group` in order when a signal says so, at once when another one does, or says that a signal does nothing.
    /// - Parameter impatience: What a second signal means for the next start, as a sentence behind "told to stop again: ".
    package static func stop(_ group: ServiceGroup, _ logger: Logger, impatience: String) async {
        var isStopping = false
        for await number in arrivals {
            let signal: Logger.Metadata = ["signal": "\(name(number))"]
            if isStopping, isImpatient(number) {
                logger.warning("told to stop again: \(impatience)", metadata: signal)
                Ending.now(ExitStatus.done.rawValue)
            }
            if isStop(number) {
                isStopping = true
                logger.notice("told to stop", metadata: signal)
                await group.triggerGracefulShutdown()
            } else {
                logger.notice("this signal does nothing: restart the process to apply a changed configuration", metadata: signal)
            }
        }
    }
}
