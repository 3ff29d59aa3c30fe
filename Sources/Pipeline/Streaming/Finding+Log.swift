package import History
package import Logging

extension Finding {
    /// Fields of a log line whose message says what was found.
    package var fields: Logger.Metadata { ["finding": "\(id.rawValue)", "remedy": "\(fix)"] }
}
