import CBuild
package import Pipeline

extension Slotstream {
    /// The commit that this program was built from; nil: the build did not say.
    package static let commit: String? = {
        let text = String(cString: slotstream_commit())
        return text.isEmpty ? nil : text
    }()

    /// `0.1.0 (commit 0123456789ab)`.
    package static let fullVersion = version + (commit.map { " (commit \($0))" } ?? "")
}
