import ArgumentParser
import History
import JetStreamPublishing
package import Logging
import Operations
import Pipeline
import Settings
import Synchronization

/// Input that a command cannot read: what, and where in it.
package struct InputError: Error {
    package var message: String

    package init(message: String) { self.message = message }
}

/// How the program ends when something went wrong: one message on stderr, and the exit code of its kind.
package enum Failure {
    /// Where a program that streams says its end: in the log, as all else.
    private static let logger = Mutex<Logger?>(nil)

    /// From here on the end is told by `logger`.
    package static func goes(to logger: Logger) { Self.logger.withLock { $0 = logger } }

    package static func exit(with error: any Error) -> Never {
        switch error {
        case let error as SettingsError:
            let problems = error.complaints.map(\.description)
            let finding = Finding.configurationWrong(problems)
            tell(
                "\(Program.name): \(error)", .configuration, error.heading, remedy: finding.fix, problems: problems,
                findings: finding.id.rawValue)
            Ending.now(ExitStatus.configuration.rawValue)
        case let error as JetStreamError: exit(with: StreamerError.jetStream(error))
        case let error as StreamerError:
            let (reason, remedy) = error.oneShotOutcome
            let what = ShownText.line("\(error)")
            let steps = Steps.lines(of: remedy).map { "\n  \($0)" }.joined()
            let ids = error.findingIDs.map { " [\($0)]" } ?? ""
            tell("\(Program.name): \(what) [\(reason.rawValue)]\(ids)\(steps)", reason, what, remedy: remedy, findings: error.findingIDs)
            Ending.now(reason.exitCode.rawValue)
        case let error as InputError:
            end(error.message, .usage)
        case let error as OperationsError:
            switch error {
            case .listenFailed: end("\(error)", .configuration, .configuration)
            case .serverFailed: end("\(error)", .unexpected, .unexpected)
            case .probeUnreachable, .probeTimedOut, .probeAnswerInvalid: end("\(error)", .findings)
            }
        case let error as ExitCode:
            Ending.now(error.rawValue)
        default:
            // Usage errors, --help and --version are the parser's own; what else there is has no name.
            let code = Program.root.exitCode(for: error)
            if code == .validationFailure || code == .success { Program.root.exit(withError: error) }
            end("\(error)", .unexpected, .unexpected)
        }
    }

    private static func end(_ message: String, _ status: ExitStatus, _ reason: StopReason? = nil) -> Never {
        tell("\(Program.name): \(message)", reason, message)
        Ending.now(status.rawValue)
    }

    /// - Parameters:
    ///   - text: For people, where nothing is logged.
    ///   - what: The same for the log, less what the other fields say.
    private static func tell(
        _ text: String, _ reason: StopReason?, _ what: String, remedy: String = "", problems: [String] = [], findings: String? = nil
    ) {
        let fault = reason.flatMap { TerminationFile.write($0, ([what] + problems).joined(separator: ". "), remedy: remedy) }
        guard let logger = logger.withLock({ $0 }) else { return Output.error(text + "\n") }
        var fields: Logger.Metadata = ["error": "\(what)"]
        if let reason { fields["reason"] = "\(reason.rawValue)" }
        if !remedy.isEmpty { fields["remedy"] = "\(remedy)" }
        if let findings { fields["finding"] = "\(findings)" }
        if !problems.isEmpty { fields["problems"] = .array(problems.map { "\($0)" }) }
        logger.critical("stopped", metadata: fields)
        if let fault { logger.warning("log.termination_file cannot be written", metadata: ["error": "\(fault)"]) }
    }
}
