/// A message of somebody else in the stream.
struct Stray: Equatable, Sendable, Codable {
    var sequence: UInt64
    var subject: String

    /// Those of one reading that are kept.
    static let limit = 1_000
}

extension [Stray] {
    /// The one that most likely took the place of what is missing before `sequence`.
    func last(before sequence: UInt64) -> Stray? { last { $0.sequence < sequence } }
}
