/// The messages that were put in last, up to a limit.
struct RecentMessages {
    private static let limit = 4_096

    private var members: Set<EventJob.Identity> = []
    /// In the order in which they came; a ring.
    private var order: [EventJob.Identity] = []
    private var next = 0

    func contains(where isMeant: (EventJob.Identity) -> Bool) -> Bool { order.contains(where: isMeant) }

    func contains(_ message: EventJob.Identity) -> Bool { members.contains(message) }

    mutating func insert(_ message: EventJob.Identity) {
        guard members.insert(message).inserted else { return }
        if order.count < Self.limit {
            order.append(message)
        } else {
            members.remove(order[next])
            order[next] = message
            next = (next + 1) % Self.limit
        }
    }
}
