import WAL

/// What goes out in place of a change that cannot be an event, by the policy.
extension TransactionAssembler {
    /// A larger body is not read for the names that a reference needs.
    static let referredBodyByteCountLimit = 32 * 1024 * 1024

    /// Opens what stands for a row, or for a TRUNCATE (without `row`); the failure if nothing may or can.
    mutating func openPoison(
        _ reason: PoisonReason, _ operation: RelationPlan.Operation, of plan: RelationPlan, position: Position,
        row: RowView?
    ) -> EncodingFailure? {
        let ordinal = position.ordinal
        let error = CaptureError.poison(reason, at: position, relation: plan.qualifiedName)
        if let skip = skip(at: position) {
            return passOver(skip, error) { (encoder, skip) throws(EncodingFailure) in
                try encoder.openSkipped(reason, row, of: plan, operation: operation.rowOperation.name, plan: skip)
            }
        }
        if configuration.poisonPolicy == .reference, let row {
            let failure = attempt { (encoder) throws(EncodingFailure) in
                try encoder.openReference(operation, of: plan, ordinal: ordinal, row: row, omitted: reason)
            }
            guard case .poison = failure else {
                if failure == nil { referred(error) }
                return failure
            }
        }
        return quarantine(reason, error) { (encoder, quarantine) throws(EncodingFailure) in
            try encoder.openQuarantined(
                reason, row, of: plan, operation: operation.rowOperation.name, plan: quarantine, ordinal: ordinal)
        }
    }

    /// Opens what stands for a logical message; the failure if nothing may or can.
    mutating func openPoison(
        _ reason: PoisonReason, _ body: UnsafeRawBufferPointer, prefix: String, at position: Position
    ) -> EncodingFailure? {
        let error = CaptureError.poison(reason, at: position, relation: Self.relation(ofPrefix: prefix))
        let database = identity.databaseName
        if let skip = skip(at: position) {
            return passOver(skip, error) { (encoder, skip) throws(EncodingFailure) in
                try encoder.openSkipped(reason, body, prefix: prefix, database: database, plan: skip)
            }
        }
        // A body that is no event has no entity to refer to: only one that is too large can do without its data.
        if configuration.poisonPolicy == .reference, case .payloadTooLarge = reason,
            body.count <= Self.referredBodyByteCountLimit
        {
            do throws(EncodingFailure) {
                try open(body, at: position, omittedData: reason)
                referred(error)
                return nil
            } catch {
                guard case .poison = error else { return error }
            }
        }
        return quarantine(reason, error) { (encoder, quarantine) throws(EncodingFailure) in
            try encoder.openQuarantined(
                reason, body, prefix: prefix, database: database, plan: quarantine, ordinal: position.ordinal)
        }
    }

    /// Somebody's decision to pass over the change at this position.
    private func skip(at position: Position) -> AcceptedSkip? {
        guard !skips.isEmpty else { return nil }
        let id = MessageID(
            systemID: identity.systemID, databaseOID: identity.databaseOID, timeline: timelines.timeline(of: position),
            transactionID: currentTransactionID, position: position)
        return skips.first { $0.isOf(id) }
    }

    private mutating func passOver(
        _ skip: AcceptedSkip, _ error: CaptureError,
        _ open: (inout EventEncoder, EventEncoder.SkipPlan) throws(EncodingFailure) -> Void
    ) -> EncodingFailure? {
        let operation = ReservedEntity.skipOperation
        let plan = EventEncoder.SkipPlan(
            skip: skip, subject: ReservedEntity.subject(prefix: configuration.subjectPrefix) + Array(".\(operation)".utf8),
            kindIndex: kindIndex(entity: ReservedEntity.name, operation: operation))
        let failure = attempt { (encoder) throws(EncodingFailure) in try open(&encoder, plan) }
        if failure == nil {
            poison.skippedCount += 1
            poison.latest = error
        }
        return failure
    }

    private mutating func quarantine(
        _ reason: PoisonReason, _ error: CaptureError,
        _ open: (inout EventEncoder, EventEncoder.QuarantinePlan) throws(EncodingFailure) -> Void
    ) -> EncodingFailure? {
        guard configuration.poisonPolicy != .stop else { return .poison(reason) }
        let plan =
            quarantinePlan
            ?? EventEncoder.QuarantinePlan(
                configuration, identity: identity,
                kindIndex: kindIndex(entity: ReservedEntity.name, operation: ReservedEntity.poisonOperation))
        quarantinePlan = plan
        let failure = attempt { (encoder) throws(EncodingFailure) in try open(&encoder, plan) }
        if failure == nil {
            poison.quarantinedCount += 1
            poison.latest = error
        }
        return failure
    }

    private mutating func referred(_ error: CaptureError) {
        poison.referredCount += 1
        poison.latest = error
    }
}
