import ArgumentParser
import Operations
import Pipeline
import Settings

/// Input that a command cannot read: what, and where in it.
struct InputError: Error {
    var message: String
}

/// How the program ends when something went wrong: one message on stderr, and the exit code of its kind.
enum Failure {
    static func exit(with error: any Error) -> Never {
        switch error {
        case let error as SettingsError:
            end("\(error)", .configuration)
        case let error as StreamerError:
            let (reason, remedy) = error.oneShotOutcome
            end("\(ShownText.cut("\(error)"))\(remedy.isEmpty ? "" : ". \(remedy)") [\(reason.rawValue)]", reason.exitCode)
        case let error as InputError:
            end(error.message, .usage)
        case let error as OperationsError:
            switch error {
            case .listenFailed: end("\(error)", .configuration)
            case .serverFailed: end("\(error)", .unexpected)
            case .probeUnreachable, .probeTimedOut, .probeAnswerInvalid: end("\(error)", .findings)
            }
        case let error as ExitCode:
            Ending.now(error.rawValue)
        default:
            // Usage errors, --help and --version are the parser's own; what else there is has no name.
            let code = SlotstreamCommand.exitCode(for: error)
            if code == .validationFailure || code == .success { SlotstreamCommand.exit(withError: error) }
            end("\(error)", .unexpected)
        }
    }

    private static func end(_ message: String, _ status: ExitStatus) -> Never {
        Output.error("slotstream: \(message)\n")
        Ending.now(status.rawValue)
    }
}
