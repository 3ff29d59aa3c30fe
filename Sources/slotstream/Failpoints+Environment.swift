import Logging
import Pipeline
import Threads

extension Failpoints {
    /// What the fault tests ask for.
    static func fromEnvironment(_ logger: Logger) throws -> Failpoints {
        guard let text = ConfigurationOptions.environment[variable] else { return .none }
        do throws(InvalidText) {
            let failpoints = try Failpoints(text)
            logger.warning("this process will fail on purpose", metadata: ["failpoint": "\(text)"])
            return failpoints
        } catch {
            throw InputError(
                message:
                    "\(variable)=\(error.text) is none of \(Failpoint.allCases.map(\.rawValue).joined(separator: " ")), followed by = and one of \(Action.allCases.map(\.rawValue).joined(separator: " ")) and perhaps :PASS"
            )
        }
    }
}
