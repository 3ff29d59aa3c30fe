/// A message as a durable consumer delivers it: to be acknowledged, once what is due is done.
public struct DeliveredMessage: Sendable, Hashable {
    /// The message, as the stream keeps it.
    public var stored: StoredMessage
    /// The subject that an ``Acknowledgement`` goes to; of this delivery only.
    public var reply: String
    /// How many times it has been delivered, this time included.
    public var deliveryCount: Int
    /// Messages that the consumer has yet to deliver, by its server's count.
    public var pendingCount: UInt64

    /// A delivery with these parts.
    public init(stored: StoredMessage, reply: String, deliveryCount: Int, pendingCount: UInt64) {
        self.stored = stored
        self.reply = reply
        self.deliveryCount = deliveryCount
        self.pendingCount = pendingCount
    }
}

/// What a consumer's server is told of a delivery. Source: nats-server, `AckAck`, `AckNak`, …
public enum Acknowledgement: Sendable, Hashable {
    /// Done: never deliver it again.
    case done
    /// Deliver it again, after that time at the earliest.
    case again(after: Duration)
    /// It is being worked on: begin to wait anew.
    case inProgress
    /// Never deliver it again, though it is not done.
    case terminated

    var payload: String {
        switch self {
        case .done: "+ACK"
        case .again(let delay) where delay <= .zero: "-NAK"
        case .again(let delay): #"-NAK {"delay":\#(delay.nanoseconds)}"#
        case .inProgress: "+WPI"
        case .terminated: "+TERM"
        }
    }
}

extension JetStreamConnection {
    /// Tells the server, and does not wait: it may be lost on the way.
    /// - Parameter reply: Of the delivery.
    public func tell(_ acknowledgement: Acknowledgement, to reply: String) throws(JetStreamError) {
        try publish(reply, Array(acknowledgement.payload.utf8), reply: nil)
    }

    /// Tells the server and waits until it has taken note ("double ack").
    ///
    /// - Throws: After `.timedOut` or `.notConnected` it is not known whether the server has; a `.noResponders` says that the consumer is gone, or without a leader.
    public func confirm(
        _ acknowledgement: Acknowledgement, to reply: String, timeout: Duration = apiTimeout
    ) throws(JetStreamError) {
        try answered(reply, Array(acknowledgement.payload.utf8), timeout: timeout)
    }

    /// The subject on which a message is acknowledged that nobody holds a delivery of.
    public static func acknowledgementSubject(
        stream: String, consumer: String, deliveryCount: Int, streamSequence: UInt64, consumerSequence: UInt64
    ) -> String {
        "$JS.ACK.\(stream).\(consumer).\(deliveryCount).\(streamSequence).\(consumerSequence).0.0"
    }
}
