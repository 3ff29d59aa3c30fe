import Capture
import FoundationEssentials
import History
import Observing
import Settings

/// An event of which an observer's actions failed for good, whole, with what became of it.
package struct DeadLetter: Sendable, Equatable {
    /// Why it died.
    package enum Reason: String, Codable, Sendable, CaseIterable {
        /// Nothing that waiting can bring: the receiver refuses it, or what a template makes of it cannot be used.
        case permanent
        /// Each attempt of an action failed.
        case attemptsExhausted = "attempts_exhausted"
        /// The server has delivered it as often as it may, and nobody has answered: its worker died or hung each time.
        case maxDeliver = "max_deliver"
        /// The message is no event.
        case unreadable
    }

    package static let schema = "slotstream.dead_letter/1"

    /// `<event id>.dead.<consumer>.<observer>`: the `Nats-Msg-Id` under which it is stored once.
    package var id: String
    package var eventID: String
    package var stream: String
    /// Of the event in its stream.
    package var sequence: UInt64
    package var subject: String
    package var consumer: String
    /// nil: it is not one observer's failure.
    package var observer: String?
    /// Which of the observer's actions failed, from 0, and its type.
    package var action: (index: Int, type: String)?
    package var reason: Reason
    package var error: String
    /// Of that action.
    package var attempts: Int
    /// Of the event to workers.
    package var deliveries: Int
    /// The first and the last attempt; RFC 3339.
    package var firstAt: String?
    package var lastAt: String?
    /// The message's body; nil: the stream had it no longer, or ``isEventOmitted``.
    package var payload: [UInt8]?
    /// Whether the event is too large to be in it, and has to be read from its stream.
    package var isEventOmitted = false

    package static func == (left: DeadLetter, right: DeadLetter) -> Bool { left.json() == right.json() }

    /// Bytes of an event's id in the letter's: beyond, a digest stands for it.
    private static let idByteLimit = 512

    /// The id under which a failure is stored.
    static func id(eventID: String, consumer: String, observer: String?) -> String {
        let eventID =
            eventID.utf8.count <= idByteLimit
            ? eventID
            : "sha256-" + HMACSHA256.digest(key: Array("dead letter".utf8), message: Array(eventID.utf8)).map(hexadecimal).joined()
        return header("\(eventID).dead.\(consumer)" + (observer.map { ".\($0)" } ?? ""))
    }

    /// `text` as the value of a header: what cannot stand in one, and `%`, as `%XX`.
    private static func header(_ text: String) -> String {
        text.utf8.map { byte in
            (0x21...0x7E).contains(byte) && byte != UInt8(ascii: "%") ? String(UnicodeScalar(byte)) : "%\(hexadecimal(byte).uppercased())"
        }.joined()
    }

    private static func hexadecimal(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

    /// Whether it tells of the same event of the same stream.
    func isOfSameFailure(as other: DeadLetter) -> Bool {
        stream == other.stream && sequence == other.sequence && eventID == other.eventID && consumer == other.consumer && observer == other.observer
            && (payload == other.payload || isEventOmitted || other.isEventOmitted)
    }

    /// The same without its event.
    var withoutEvent: DeadLetter {
        var letter = self
        letter.payload = nil
        letter.isEventOmitted = true
        return letter
    }

    /// All but the event.
    private struct Fields: Codable {
        struct Action: Codable {
            var index: Int
            var type: String
        }
        var schema: String
        var id: String
        var eventId: String
        var stream: String
        var sequence: UInt64
        var subject: String
        var consumer: String
        var observer: String?
        var action: Action?
        var reason: Reason
        var error: String
        var attempts: Int
        var deliveries: Int
        var firstAt: String?
        var lastAt: String?
        var payloadBase64: String?
        var eventOmitted: Bool?
    }

    /// One JSON object on one line; the event in it is byte for byte what the stream has.
    package func json() -> [UInt8] {
        let isObject = payload.map { ReadRow.columns(of: $0) != nil } ?? false
        let fields = Fields(
            schema: Self.schema, id: id, eventId: eventID, stream: stream, sequence: sequence, subject: subject, consumer: consumer,
            observer: observer, action: action.map { Fields.Action(index: $0.index, type: $0.type) }, reason: reason, error: error,
            attempts: attempts, deliveries: deliveries, firstAt: firstAt, lastAt: lastAt,
            payloadBase64: isObject ? nil : payload.map { Data($0).base64EncodedString() }, eventOmitted: isEventOmitted ? true : nil)
        var bytes = Array(ContractJSON.text(fields).utf8)
        guard isObject, let payload else { return bytes }
        bytes.removeLast()
        return bytes + Array(",\"event\":".utf8) + payload + Array("}".utf8)
    }

    /// Reads what ``json()`` wrote; nil: it is none.
    package init?(json: [UInt8]) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let members = ReadRow.columns(of: json) else { return nil }
        // The event may be nested deeper than the decoder goes.
        let isEvent = { (member: ReadRow.Column) in member.name.elementsEqual("event".utf8) }
        let own = members.filter { !isEvent($0) }.map { Array("\"".utf8) + $0.name + Array("\":".utf8) + $0.json }
        let text = Array("{".utf8) + own.joined(separator: Array(",".utf8)) + Array("}".utf8)
        guard let fields = try? decoder.decode(Fields.self, from: Data(text)), fields.schema == Self.schema,
            fields.action.map({ (0..<Self.actionLimit).contains($0.index) }) ?? true
        else { return nil }
        let event = members.first(where: isEvent)?.json
        self.init(
            id: fields.id, eventID: fields.eventId, stream: fields.stream, sequence: fields.sequence, subject: fields.subject,
            consumer: fields.consumer, observer: fields.observer, action: fields.action.map { ($0.index, $0.type) }, reason: fields.reason,
            error: fields.error, attempts: fields.attempts, deliveries: fields.deliveries, firstAt: fields.firstAt, lastAt: fields.lastAt,
            payload: event ?? fields.payloadBase64.flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) })
        isEventOmitted = fields.eventOmitted ?? false
    }

    /// More actions no observer has.
    private static let actionLimit = 1_000_000

    init(
        id: String, eventID: String, stream: String, sequence: UInt64, subject: String, consumer: String, observer: String?,
        action: (index: Int, type: String)?, reason: Reason, error: String, attempts: Int, deliveries: Int, firstAt: String?,
        lastAt: String?, payload: [UInt8]?
    ) {
        self.id = id
        self.eventID = eventID
        self.stream = stream
        self.sequence = sequence
        self.subject = subject
        self.consumer = consumer
        self.observer = observer
        self.action = action
        self.reason = reason
        self.error = ShownText.line(error)
        self.attempts = attempts
        self.deliveries = deliveries
        self.firstAt = firstAt
        self.lastAt = lastAt
        self.payload = payload
    }

    /// Where it is stored: the event's own tokens behind the dead stream's name.
    package func subject(_ configuration: WorkerConfiguration) -> String {
        let prefix = configuration.subjectPrefix + "."
        guard reason != .unreadable, subject.hasPrefix(prefix) else { return "\(configuration.deadStream)._unreadable" }
        return "\(configuration.deadStream).\(subject.dropFirst(prefix.count))"
    }
}
