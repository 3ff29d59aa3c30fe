import WAL

/// The plans of a session's relations, without those of tables that were dropped.
///
/// pgoutput describes a relation once and never says that it is gone: a plan may be freed only when no row of it can come any more. A
/// table that the catalogue no longer has at a moment was dropped by a transaction that is written by then, and whoever wrote
/// to the table has committed before that.
struct RelationPlans {
    /// So many are kept without a question.
    static let reviewThreshold = 32

    private var plans: [RelationID: RelationPlan] = [:]
    /// Where the WAL ended when a relation was found to be gone.
    private var gone: [RelationID: LSN] = [:]
    private var nextReviewCount = reviewThreshold

    /// How many there are.
    var count: Int { plans.count }

    /// A relation's plan, if it has been described.
    subscript(_ id: RelationID) -> RelationPlan? { plans[id] }

    /// Takes a plan in the place of the one before. A relation that is described is there (again).
    mutating func insert(_ plan: RelationPlan) {
        plans[plan.id] = plan
        gone[plan.id] = nil
    }

    /// Those to ask the catalogue about. Twice as many as were left after the last review have to come: a question costs a fixed amount a plan.
    var dueForReview: [RelationID] { plans.count >= nextReviewCount ? Array(plans.keys) : [] }

    /// `ids` no longer exist as of `lsn`.
    mutating func reviewed(gone ids: Set<RelationID>, asOf lsn: LSN) {
        for id in ids where plans[id] != nil && gone[id] == nil { gone[id] = lsn }
        nextReviewCount = max(Self.reviewThreshold, 2 * (plans.count - gone.count))
        // Those that wait for their LSN count too: until they go there is nothing new to be learnt of them.
        nextReviewCount = max(nextReviewCount, plans.count + Self.reviewThreshold)
    }

    /// Transactions come in the order of their commits: at this one, nothing that was committed before `commitLSN` comes any more.
    mutating func began(at commitLSN: LSN) {
        guard !gone.isEmpty else { return }
        for (id, lsn) in gone where lsn < commitLSN {
            plans[id] = nil
            gone[id] = nil
        }
        nextReviewCount = max(Self.reviewThreshold, min(nextReviewCount, 2 * plans.count + Self.reviewThreshold))
    }
}
