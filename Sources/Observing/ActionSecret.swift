/// A text that whoever reads a log, an error or a dump must not see: a password, a signing secret, an address that is a key by itself.
package struct ActionSecret: Sendable, Equatable {
    /// The text itself: for the library that needs it.
    package let value: String

    /// Takes it as it is.
    package init(_ value: String) { self.value = value }
}

extension ActionSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// `***`.
    package var description: String { "***" }

    /// `***`.
    package var debugDescription: String { description }

    /// Without children, so that `dump` cannot reach `value`.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}
