/// A change that cannot be an event, and that somebody has chosen to pass over: a marker stands in its place.
public struct AcceptedSkip: Sendable, Equatable {
    /// Of the event that the change would have been.
    public var id: MessageID
    /// Tells the marker's id from others of the position.
    public var random: UInt32
    /// Who takes it upon himself.
    public var acceptedBy: String
    /// RFC 3339.
    public var acceptedAt: String

    public init(id: MessageID, random: UInt32, acceptedBy: String, acceptedAt: String) {
        self.id = id
        self.random = random
        self.acceptedBy = acceptedBy
        self.acceptedAt = acceptedAt
    }

    /// The marker's `Nats-Msg-Id`.
    public var markerID: String { id.marker(random: UInt64(random)) }

    /// Whether `id` is the change's: its event's, its marker's, or that of what is stored behind it.
    public func isOf(_ id: MessageID) -> Bool {
        var event = id
        event.kind = .event
        return event == self.id
    }
}
