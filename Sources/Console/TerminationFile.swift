import Glibc
package import History
package import Logging
package import Pipeline
import Synchronization

/// Where a stop that only a person can mend says why: Kubernetes shows the file's text in `kubectl describe pod`.
package enum TerminationFile {
    /// The kubelet cuts after this many bytes.
    private static let limit = 4096

    /// nil: nobody wants to know.
    private static let path = Mutex<String?>(nil)

    /// From here on a stop is written to the file at `path`.
    package static func goes(to path: String?) { Self.path.withLock { $0 = path } }

    /// Replaces the file's text by the reason, what happened, and the steps.
    /// - Returns: What is wrong with the file; nil: nothing, or there is none.
    package static func write(_ reason: StopReason, _ what: String, remedy: String) -> String? {
        guard let path = path.withLock({ $0 }) else { return nil }
        let steps = Steps.lines(of: remedy).map { "  \($0)\n" }.joined()
        let text = "\(reason.rawValue), exit code \(reason.exitCode.rawValue)\n\(ShownText.line(what))\n\(steps)"
        // Kubernetes mounts a file there, which can be written and not be replaced.
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return "\(path): \(String(cString: strerror(errno)))" }
        defer { close(descriptor) }
        let bytes = Array(text.utf8.prefix(limit))
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else { return "\(path): \(String(cString: strerror(errno)))" }
        return nil
    }

    /// Writes why a run has ended, if that is something to mend; says in the log when it cannot.
    package static func write(_ outcome: Streamer.Outcome, _ logger: Logger) {
        guard let reason = outcome.reason, let fault = write(reason, outcome.message, remedy: outcome.remedy) else { return }
        logger.warning("log.termination_file cannot be written", metadata: ["error": "\(fault)"])
    }
}
