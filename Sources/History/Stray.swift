/// A message of somebody else in the stream.
package struct Stray: Equatable, Sendable, Codable {
    package var sequence: UInt64
    package var subject: String

    package init(sequence: UInt64, subject: String) {
        self.sequence = sequence
        self.subject = subject
    }

    /// Those of one reading that are kept.
    package static let limit = 1_000
}

extension [Stray] {
    /// The one that most likely took the place of what is missing before `sequence`.
    package func last(before sequence: UInt64) -> Stray? { last { $0.sequence < sequence } }
}
