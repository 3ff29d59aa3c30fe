/// Why an event could not be published as it is: the label of `fraiseql_observer_events_failed_total`, counted when that happens.
package enum EventFailure: String, CaseIterable, Sendable {
    /// It is none that can be published, whatever stands in its place.
    case poisonEvent = "poison_event"
    /// It is larger than the stream takes.
    case messageTooLarge = "message_too_large"
    /// The stream, the account or nats-server has no room for it.
    case storageFull = "storage_full"
    /// The streamer's NATS user may not publish on its subject.
    case permissionNATS = "permission_nats"
    /// JetStream does not take it, for another reason.
    case refused
}
