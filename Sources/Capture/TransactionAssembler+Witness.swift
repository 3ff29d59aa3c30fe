import PGOutput
import WAL

/// What is told to whoever watches a table's rows.
extension TransactionAssembler {
    /// Tells of a row that was taken.
    /// - Parameter isWhole: Whether its event, if it has all columns, is stored with all of them.
    func tell(
        _ witness: any RowWitness, _ operation: RowOperation, of plan: RelationPlan, _ oldTuple: OldTuple, _ decoder: borrowing PGOutputDecoder,
        _ bytes: RawSpan, isWhole: Bool
    ) {
        guard let names = witness.keyColumns(of: plan.id), let current else { return }
        // What is stored already is not looked at otherwise: a row that is none of this relation's tells nothing.
        guard operation == .delete || decoder.newColumns.count == plan.columns.count,
            oldTuple == .none || decoder.oldColumns.count == plan.columns.count
        else { return }
        let key = plan.indices(ofKey: names)
        let change = bytes.withUnsafeBytes { message in
            decoder.newColumns.withUnsafeBufferPointer { new in
                decoder.oldColumns.withUnsafeBufferPointer { old in
                    let row = RowView(current: operation == .delete ? .old : .new, message: message, new: new, old: old, oldTuple: oldTuple)
                    return RowChange(
                        row, operation, of: plan, key: key, transactionID: current.transactionID,
                        position: Position(commitLSN: current.commitLSN, ordinal: current.ordinal), isStoredWhole: isWhole)
                }
            }
        }
        witness.changed(change)
    }
}

extension RowChange {
    fileprivate init(
        _ row: RowView, _ operation: RowOperation, of plan: RelationPlan, key: [Int]?, transactionID: TransactionID, position: Position, isStoredWhole: Bool
    ) {
        func rowKey(_ which: RowView.Which) -> RowKey? {
            guard let key, !key.isEmpty else { return nil }
            var found = RowKey()
            for index in key {
                guard case .text(let text) = row.value(of: index, which, in: plan) else { return nil }
                found.append(text)
            }
            return found
        }
        let isKeyless = key?.isEmpty ?? false
        let hasRow = operation != .delete
        var new = hasRow ? rowKey(.new) : nil
        var old = row.hasOld ? rowKey(.old) : nil
        // A key that is long is not sent again where it stays.
        if hasRow, new == nil { new = old }
        if new == old, hasRow { old = nil }
        self.init(
            relation: plan.id, transactionID: transactionID, position: position, key: new, oldKey: old,
            isWhole: isStoredWhole && (!hasRow || plan.columns.indices.allSatisfy { index in
                if plan.columns[index].treatment == .excluded { return true }
                if case .absent = row.value(of: index, .new, in: plan) { return false }
                return true
            }),
            isKeyUnknown: !isKeyless && (hasRow ? new == nil : old == nil))
    }
}

extension RelationPlan {
    /// Where a key's columns stand, worked out once; nil: not all of them are there.
    func indices(ofKey names: [String]) -> [Int]? {
        if let known = watchedKey, known.names == names { return known.indices }
        let indices = names.compactMap { name in columnNames.firstIndex { $0.utf8.elementsEqual(name.utf8) } }
        let found = indices.count == names.count ? indices : nil
        watchedKey = (names, found)
        return found
    }
}
