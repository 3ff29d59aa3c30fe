package import Capture
import JetStreamPublishing

/// The newest message of ours that is in a stream: its end may have been deleted, and others may have written behind it.
package enum LastPresent: Equatable {
    /// None is left, or was ever stored.
    case none
    case event(MessageID, sequence: UInt64)
    /// None of ours, but one of another database or server.
    case another(MessageID, sequence: UInt64)

    package var id: MessageID? {
        if case .event(let id, _) = self { id } else { nil }
    }

    /// Where ours stands.
    package var sequence: UInt64? {
        if case .event(_, let sequence) = self { sequence } else { nil }
    }
}
