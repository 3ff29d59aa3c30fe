package import Logging
package import Threads

extension LongTime {
    /// Says in the log that the fault tests have set times.
    /// - Throws: ``InputError`` where the variable sets none.
    package static func tell(_ logger: Logger) throws {
        guard let text = ConfigurationOptions.environment[variable] else { return }
        do throws(InvalidText) {
            _ = try parse(text)
        } catch {
            throw InputError(
                message:
                    "\(variable)=\(error.text) is not one or more of \(allCases.map(\.rawValue).joined(separator: " ")), each followed by = and milliseconds, with commas between them"
            )
        }
        logger.warning("this process keeps other times than a release promises", metadata: ["times": "\(text)"])
    }
}
