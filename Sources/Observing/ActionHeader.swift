/// A header that the user has set: fixed, since nothing of a row ever becomes part of one.
package struct ActionHeader: Sendable, Equatable {
    /// As it was written.
    package let name: String
    /// It may be a key: `Authorization`.
    package let value: ActionSecret
}
