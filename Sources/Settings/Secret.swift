/// A text that holds or may hold a password.
///
/// Whatever prints it — interpolation, `dump`, a debugger, a containing struct — prints `shown`. Only `value` gives it away.
package struct Secret: Sendable, Equatable {
    /// The text itself: for the library that needs it, never for a log, an error or an argument list.
    package let value: String
    private let shown: String

    /// - Parameter shown: What is printed instead; without the secret parts.
    package init(_ value: String, shown: String = "***") {
        self.value = value
        self.shown = shown
    }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The text with its secret parts as `***`.
    package var description: String { shown }

    /// The same as `description`.
    package var debugDescription: String { shown }

    /// Without children, so that `dump` cannot reach `value`.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Bytes that are a key. Whatever prints them prints `***`.
package struct SecretBytes: Sendable, Equatable {
    /// The bytes themselves, for the library that needs them.
    package let value: [UInt8]

    /// Takes them as they are.
    package init(_ value: [UInt8]) { self.value = value }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// `***`.
    package var description: String { Redaction.hidden }

    /// The same as `description`.
    package var debugDescription: String { Redaction.hidden }

    /// Without children, so that `dump` cannot reach `value`.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}
