import History
import ObserverWork

/// `dead list` as JSON: all but the events. Of what is no dead letter of a worker's, the number alone.
struct DeadListing: Encodable {
    struct Letter: Encodable {
        var number: UInt64
        var id: String?
        var eventId: String?
        var sequence: UInt64?
        var subject: String?
        var observer: String?
        var action: String?
        var reason: String?
        var error: String?
        var attempts: Int?
        var deliveries: Int?
        var firstAt: String?
        var lastAt: String?
    }

    let schema = "slotstream.dead_letters/1"
    var letters: [Letter]

    init(_ letters: [DeadLetterBox.Stored]) {
        self.letters = letters.map { stored in
            guard let letter = stored.letter else { return Letter(number: stored.number) }
            return Letter(
                number: stored.number, id: letter.id, eventId: letter.eventID, sequence: letter.sequence, subject: letter.subject,
                observer: letter.observer, action: letter.action?.type, reason: letter.reason.rawValue, error: letter.error,
                attempts: letter.attempts, deliveries: letter.deliveries, firstAt: letter.firstAt, lastAt: letter.lastAt)
        }
    }
}

/// `dead retry` and `dead drop` as JSON.
struct DeadResults: Encodable {
    struct Result: Encodable {
        var number: UInt64
        var eventId: String
        var isDone: Bool
        /// How many were done.
        var actions: Int?
        /// Why it stays.
        var error: String?

        enum CodingKeys: String, CodingKey {
            case number, eventId, actions, error
            case isDone = "done"
        }
    }

    let schema = "slotstream.dead_results/1"
    var letters: [Result]

    init(_ letters: [Result]) { self.letters = letters }
}
