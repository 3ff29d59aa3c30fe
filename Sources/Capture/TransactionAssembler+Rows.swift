import PGOutput
import WAL

/// Rows and TRUNCATE as events.
extension TransactionAssembler {
    /// Opens a row's event, or asks what it needs first.
    mutating func row(
        _ operation: RowOperation, _ id: RelationID, _ oldTuple: OldTuple, _ decoder: borrowing PGOutputDecoder,
        _ bytes: RawSpan, _ sink: inout some EventSink & ~Copyable
    ) throws(CaptureError) -> Action {
        let plan = try plan(for: id)
        guard let position = try nextPosition() else {
            // What is stored of it is not known: one that can have been too large was perhaps stored without its data.
            if let witness {
                tell(witness, operation, of: plan, oldTuple, decoder, bytes, isWhole: bytes.byteCount < encoder.payloadLimit / 8)
            }
            return .none
        }
        let operationPlan = self.operation(operation, of: plan)
        guard !operationPlan.isExcluded else { return .none }
        guard !plan.isRefused else { throw .relationRefused(id, commitLSN: position.commitLSN) }
        let newCount = decoder.newColumns.count
        let oldCount = decoder.oldColumns.count
        guard operation == .delete || newCount == plan.columns.count,
            oldTuple == .none || oldCount == plan.columns.count
        else {
            throw violation(
                "a row of \(plan.qualifiedName) with \(max(newCount, oldCount)) columns, but \(plan.columns.count) were described"
            )
        }
        guard !decoder.newColumns.hasBinary, !decoder.oldColumns.hasBinary else {
            throw violation("a row of \(plan.qualifiedName) with binary values, which were not asked for")
        }
        encoder.close(isLast: false, into: &sink)
        let poisonCount = poison.count
        let result = bytes.withUnsafeBytes { message in
            decoder.newColumns.withUnsafeBufferPointer { new in
                decoder.oldColumns.withUnsafeBufferPointer { old in
                    let row = RowView(
                        current: operation == .delete ? .old : .new, message: message, new: new, old: old,
                        oldTuple: oldTuple)
                    return open(operationPlan, of: plan, position: position, row: row)
                }
            }
        }
        switch result {
        case .opened: break
        case .asks:
            // It is counted when it is given again.
            current?.ordinal -= 1
            return .asks
        case .failed(let failure): throw error(failure, at: position, relation: plan.qualifiedName)
        }
        encoder.context.casts.removeAll()
        hasFreshTypes = false
        if let witness { tell(witness, operation, of: plan, oldTuple, decoder, bytes, isWhole: poison.count == poisonCount) }
        return .none
    }

    /// What became of a row.
    private enum RowResult {
        case opened
        case asks
        case failed(EncodingFailure)
    }

    /// Encodes by the policy for poison.
    private mutating func open(
        _ operation: RelationPlan.Operation, of plan: RelationPlan, position: Position, row: RowView
    ) -> RowResult {
        let ordinal = position.ordinal
        let unknownTypeValueCount = encoder.context.unknownTypeValueCount
        let uncastValueCount = encoder.context.uncastValueCount
        encoder.context.writesChangedCompositesAsText = hasFreshTypes
        let failure = attempt { (encoder) throws(EncodingFailure) in
            try encoder.openRow(operation, of: plan, ordinal: ordinal, row: row)
        }
        guard let failure else { return .opened }
        let question = question(after: failure, plan)
        encoder.context.casts.dropRequests()
        if let question {
            self.question = question
            // They are counted when they are written.
            encoder.context.unknownTypeValueCount = unknownTypeValueCount
            encoder.context.uncastValueCount = uncastValueCount
            return .asks
        }
        guard case .poison(let reason) = failure else { return .failed(failure) }
        return openPoison(reason, operation, of: plan, position: position, row: row).map { .failed($0) } ?? .opened
    }

    /// What has to be known before the row can be written. A type of the row's may have changed since the catalogue was asked, or, behind a backlog, since the
    /// row was written: a composite has another number of fields, or a text is not of the type that one had. That is asked once a row.
    private mutating func question(after failure: EncodingFailure, _ plan: RelationPlan) -> CatalogueQuestion? {
        switch failure {
        case .castsNeeded: .casts(encoder.context.casts.requests)
        case .compositeChanged: .types(of: plan.id, plan.typeOIDs)
        case .poison(.malformedValue) where plan.hasComposites && !hasFreshTypes: .types(of: plan.id, plan.typeOIDs)
        case .poison, .digestUnavailable: nil
        }
    }

    /// Opens an event for each table.
    mutating func truncated(
        _ truncate: Truncate, _ bytes: RawSpan, _ sink: inout some EventSink & ~Copyable
    ) throws(CaptureError) {
        for index in 0..<truncate.relationCount {
            let plan = try plan(for: truncate.relationID(at: index, in: bytes))
            let isNew = try nextPosition()
            if isNew != nil, let witness, let current, witness.keyColumns(of: plan.id) != nil {
                witness.truncated(plan.id, by: current.transactionID, at: Position(commitLSN: current.commitLSN, ordinal: current.ordinal))
            }
            guard let position = isNew else { continue }
            let operation = operation(.truncate, of: plan)
            guard !operation.isExcluded else { continue }
            encoder.close(isLast: false, into: &sink)
            var failure = attempt { (encoder) throws(EncodingFailure) in
                try encoder.openTruncate(
                    operation, of: plan, ordinal: position.ordinal, cascade: truncate.cascade,
                    restartIdentity: truncate.restartIdentity)
            }
            if case .poison(let reason) = failure {
                failure = openPoison(reason, operation, of: plan, position: position, row: nil)
            }
            if let failure { throw error(failure, at: position, relation: plan.qualifiedName) }
        }
    }

    /// What encoding ended with; nil: an event is open.
    @inline(__always)
    mutating func attempt(
        _ encode: (inout EventEncoder) throws(EncodingFailure) -> Void
    ) -> EncodingFailure? {
        do throws(EncodingFailure) {
            try encode(&encoder)
            return nil
        } catch {
            return error
        }
    }

    /// The error of a change that was not encoded.
    func error(_ failure: EncodingFailure, at position: Position, relation: String) -> CaptureError {
        switch failure {
        case .poison(let reason): .poison(reason, at: position, relation: relation)
        case .digestUnavailable: .digestUnavailable(relation: relation, commitLSN: position.commitLSN)
        case .compositeChanged, .castsNeeded: preconditionFailure("the caller must answer before the assembler goes on")
        }
    }
}

extension [TupleColumn] {
    /// Whether a value came in its type's binary format, which has no text to copy.
    fileprivate var hasBinary: Bool {
        // By index: an iterator of an array is an allocation in a build without optimisation.
        for index in indices where self[index].kind == .binary { return true }
        return false
    }
}
