import WAL

/// Rows of a backfill: events of no transaction, each whole as soon as it is written.
extension EventEncoder {
    /// Begins a snapshot's rows: what they have in common.
    mutating func beginReads(run: UInt64, lsn: LSN, readAt: PostgresTimestamp) {
        beginTransaction(
            timestamp: readAt,
            transactionText: Array(",\"backfill\":{\"id\":\"\(run)\",\"lsn\":\"\(lsn)\"".utf8))
    }

    /// Writes a row's event as far as that tells whether it can be one, and what has to be asked before.
    mutating func openRead(_ operation: RelationPlan.Operation, of plan: RelationPlan, _ row: RowView, id: Span<UInt8>) throws(EncodingFailure) {
        begin(id: id, sentByteCount: row.byteCount)
        try beginRow(operation, of: plan, row: row)
        try layout.writeRow(operation, of: plan, row, to: &self)
        guard !context.casts.hasRequests else { throw .castsNeeded }
        if layout.hasTransaction { payload.append(transaction.bytes) }
        guard !payload.isOverflowing, payload.count + plan.tail.count <= payloadLimit else { throw tooLarge }
    }
}
