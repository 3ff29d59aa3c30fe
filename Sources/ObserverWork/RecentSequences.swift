/// The sequences that were put in last, up to a limit.
struct RecentSequences {
    private static let limit = 4_096

    private var members: Set<UInt64> = []
    /// In the order in which they came; a ring.
    private var order: [UInt64] = []
    private var next = 0

    func contains(_ sequence: UInt64) -> Bool { members.contains(sequence) }

    mutating func insert(_ sequence: UInt64) {
        guard members.insert(sequence).inserted else { return }
        if order.count < Self.limit {
            order.append(sequence)
        } else {
            members.remove(order[next])
            order[next] = sequence
            next = (next + 1) % Self.limit
        }
    }
}
