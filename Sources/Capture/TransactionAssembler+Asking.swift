import PGOutput
public import WAL

/// What is asked of the catalogue, and the answers.
extension TransactionAssembler {
    /// Answers `question`; then the message that asked is given again.
    public mutating func answer(_ answer: CatalogueAnswer) {
        switch (question, answer) {
        case (.description, .description(let description)): self.description = description
        case (.types(of: let id, _), .types(let types)):
            plans[id]?.refreshForms(types)
            hasFreshTypes = true
        case (.casts(let requests), .casts(let answers)):
            precondition(answers.count == requests.count, "each cast has an answer")
            encoder.context.casts.answered(requests, answers)
        case (.description, _), (.types, _), (.casts, _), (nil, _):
            preconditionFailure("the answer is to the question that was asked")
        }
        question = nil
    }

    /// What has to be known of a relation.
    func questionAbout(_ relation: Relation) -> CatalogueQuestion {
        .description(of: relation, needsFacts: RelationPlan.needsFacts(relation, configuration: configuration))
    }

    /// Makes a relation's plan, in the place of one before.
    mutating func replacePlan(for relation: Relation, _ description: TableDescription) {
        let plan = RelationPlan(
            relation, configuration: configuration, database: identity.databaseName, types: description.types,
            facts: description.facts, isRefused: description.isRefused)
        plans.insert(plan)
        lastPlan = plan
    }

    /// What to ask about a relation of which not all was known when it was described; nil: it has no plan any more.
    public func questionAgain(about id: RelationID) -> CatalogueQuestion? {
        plans[id].map { questionAbout($0.relation) }
    }

    /// Makes a relation's plan anew, from what was answered meanwhile.
    public mutating func describeAgain(_ id: RelationID, _ description: TableDescription) {
        guard let relation = plans[id]?.relation else { return }
        replacePlan(for: relation, description)
    }
}
