/// Why there is no configuration: everything that is wrong with it, at once.
///
/// A struct where other modules have an enum: the cases are those of `Complaint.Problem`.
package struct SettingsError: Error, Sendable, Equatable {
    /// At least one, in the order in which a reader meets them.
    package let complaints: [Complaint]
    /// `[log]` as far as it is right: how a program that logs tells this too.
    package let log: Configuration.Log

    /// Sorts them.
    package init(_ complaints: [Complaint], log: Configuration.Log = Configuration.Log()) {
        self.complaints = complaints.sorted()
        self.log = log
    }
}

extension SettingsError: CustomStringConvertible {
    /// How many there are, in a few words.
    package var heading: String {
        "the configuration has \(complaints.count == 1 ? "1 problem" : "\(complaints.count) problems")"
    }

    /// A heading, and a line for each complaint. It holds no secret.
    package var description: String {
        heading + ":\n" + complaints.map { "  \($0)" }.joined(separator: "\n")
    }
}
