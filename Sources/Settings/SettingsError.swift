/// Why there is no configuration: everything that is wrong with it, at once.
///
/// A struct where other modules have an enum: the cases are those of `Complaint.Problem`.
public struct SettingsError: Error, Sendable, Equatable {
    /// At least one, in the order in which a reader meets them.
    public let complaints: [Complaint]

    /// Sorts them.
    init(_ complaints: [Complaint]) {
        self.complaints = complaints.sorted()
    }
}

extension SettingsError: CustomStringConvertible {
    /// A heading, and a line for each complaint. It holds no secret.
    public var description: String {
        let heading = complaints.count == 1 ? "1 problem" : "\(complaints.count) problems"
        return "the configuration has \(heading):\n" + complaints.map { "  \($0)" }.joined(separator: "\n")
    }
}
