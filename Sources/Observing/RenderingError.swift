/// What a template made of an event cannot be used. It will be the same at the next attempt. Never carries row data.
package enum RenderingError: Error, Sendable, Equatable {
    /// `to_template` gives no address.
    case recipient
    /// The subject is longer than a subject may be.
    case subjectTooLong(byteCount: Int, limit: Int)
}

extension RenderingError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .recipient: "to_template gives no email address for this event. Correct the row, or the template of this observer."
        case .subjectTooLong(let byteCount, let limit):
            "the subject for this event has \(byteCount) bytes. At most \(limit) are allowed. Shorten the subject of this observer."
        }
    }
}
