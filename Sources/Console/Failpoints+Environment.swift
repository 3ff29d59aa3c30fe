package import Logging
package import Threads

extension Failpoints {
    /// What the fault tests ask for, told in a log.
    package static func fromEnvironment(_ logger: Logger) throws -> Failpoints {
        try fromEnvironment { logger.warning("this process will fail on purpose", metadata: ["failpoint": "\($0)"]) }
    }

    /// What the fault tests ask for, of a command without a log.
    package static func fromEnvironment() throws -> Failpoints {
        try fromEnvironment { Output.error("this process will fail on purpose: \($0)\n") }
    }

    private static func fromEnvironment(_ tell: (String) -> Void) throws -> Failpoints {
        guard let text = ConfigurationOptions.environment[variable] else { return .none }
        do throws(InvalidText) {
            let failpoints = try Failpoints(text)
            tell(text)
            return failpoints
        } catch {
            throw InputError(
                message:
                    "\(variable)=\(error.text) is none of \(Failpoint.allCases.map(\.rawValue).joined(separator: " ")), followed by = and one of \(Action.allCases.map(\.rawValue).joined(separator: " ")) and perhaps :PASS"
            )
        }
    }
}
