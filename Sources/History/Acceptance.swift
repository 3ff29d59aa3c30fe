/// Somebody's decision that a stream goes on with what it lacks, or with what came late: consumers read of it in a marker.
package struct Acceptance: Sendable {
    /// Who takes it upon himself.
    package var acceptedBy: String
    /// Say only what is missing, and what would be made.
    package var isDryRun: Bool

    package init(acceptedBy: String, isDryRun: Bool) {
        self.acceptedBy = acceptedBy
        self.isDryRun = isDryRun
    }
}
