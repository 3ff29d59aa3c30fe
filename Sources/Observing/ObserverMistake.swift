/// One thing that is wrong with an observer's definition: where, what, and what would be right. It shows no secret.
package struct ObserverMistake: Sendable, Equatable {
    /// `observers.paid.actions[1].url`.
    package let path: String
    /// What is wrong and what is allowed, with the nearest known name where one is mistyped.
    package let what: String

    /// Takes both as they are.
    package init(path: String, what: String) {
        self.path = path
        self.what = what
    }
}

extension ObserverMistake: CustomStringConvertible {
    /// `observers.paid.actions[1].url: …`
    package var description: String { "\(path): \(what)" }
}
