import PGOutput
import WAL

/// The events of rows and of TRUNCATE, each written from its relation's plan.
extension EventEncoder {
    /// Encodes a row's change and leaves it open. Nothing may be open.
    /// - Throws: the reason why it cannot be published as it is; nothing is open then.
    mutating func openRow(
        _ operation: RowOperation, of plan: RelationPlan, ordinal: UInt64, row: RowView
    ) throws(PoisonReason) {
        let operationPlan = plan.operations[operation.rawValue]
        try writeSubject(operationPlan.subject, plan: plan, row: row)
        writeHead(operationPlan, ordinal: ordinal)
        try writeEntityID(of: plan, row: row)
        payload.append(timestamp.bytes)
        payload.append(",\"entity\":")
        try writeTuple(row.current, of: plan, row: row)
        if operation == .update {
            if row.hasOld {
                payload.append(",\"before\":")
                try writeTuple(.old, of: plan, row: row)
                try writeChanges(of: plan, row: row)
            }
            writeUnchanged(of: plan, row: row)
        } else if operation == .insert {
            writeUnchanged(of: plan, row: row)
        }
        try finishOpening(operationPlan, plan: plan, ordinal: ordinal)
    }

    /// Encodes a TRUNCATE of one table and leaves it open.
    mutating func openTruncate(
        of plan: RelationPlan, ordinal: UInt64, cascade: Bool, restartIdentity: Bool
    ) throws(PoisonReason) {
        let operationPlan = plan.operations[RowOperation.truncate.rawValue]
        try writeSubject(operationPlan.subject, plan: plan, row: nil)
        writeHead(operationPlan, ordinal: ordinal)
        payload.append(timestamp.bytes)
        payload.append(",\"truncate\":{\"cascade\":")
        payload.append(cascade ? "true" : "false")
        payload.append(",\"restart_identity\":")
        payload.append(restartIdentity ? "true" : "false")
        payload.append(UInt8(ascii: "}"))
        try finishOpening(operationPlan, plan: plan, ordinal: ordinal)
    }

    /// Encodes a row's change without its data: what `on_poison = "reference"` publishes.
    mutating func openReference(
        _ operation: RowOperation, of plan: RelationPlan, ordinal: UInt64, row: RowView, omitted: PoisonReason
    ) throws(PoisonReason) {
        let operationPlan = plan.operations[operation.rawValue]
        try writeSubject(operationPlan.subject, plan: plan, row: row)
        writeHead(operationPlan, ordinal: ordinal)
        let start = payload.count
        do throws(PoisonReason) {
            try writeEntityID(of: plan, row: row)
        } catch {
            // The identity itself is what cannot be written: the event says where the row changed, not which.
            payload.truncate(to: start)
        }
        payload.append(timestamp.bytes)
        payload.append(",\"omitted\":")
        payload.append(JSONText.string(omitted.description))
        try finishOpening(operationPlan, plan: plan, ordinal: ordinal)
    }

    // MARK: - Parts

    private mutating func writeHead(_ operation: RelationPlan.Operation, ordinal: UInt64) {
        writeID(ordinal: ordinal)
        payload.append(operation.head)
    }

    private mutating func finishOpening(
        _ operation: RelationPlan.Operation, plan: RelationPlan, ordinal: UInt64
    ) throws(PoisonReason) {
        payload.append(transaction.bytes)
        payload.append(decimal: ordinal)
        payload.append(",\"last\":")
        try open(tail: plan.tail, ordinal: ordinal, kindIndex: operation.kindIndex)
    }

    private mutating func writeSubject(
        _ plan: SubjectPlan, plan relation: RelationPlan, row: RowView?
    ) throws(PoisonReason) {
        subject.removeAll()
        if let fixed = plan.fixed {
            subject.append(fixed)
        } else {
            for index in plan.segments.indices {
                switch plan.segments[index] {
                case .bytes(let bytes): subject.append(bytes)
                case .column(let index): subject.appendToken(index.flatMap { row?.value(of: $0, in: relation) })
                }
            }
        }
        try checkSubject()
    }

    private mutating func writeEntityID(of plan: RelationPlan, row: RowView) throws(PoisonReason) {
        let indices = plan.identityColumns
        guard !indices.isEmpty else { return }
        let start = payload.count
        payload.append(",\"entity_id\":")
        if indices.count == 1 {
            guard case .text(let text) = row.value(of: indices[0], in: plan) else {
                payload.truncate(to: start)
                return
            }
            guard payload.appendJSONString(text) else { throw .notUTF8(column: plan.columnNames[indices[0]]) }
            return
        }
        scratch.removeAll()
        for place in indices.indices {
            guard case .text(let text) = row.value(of: indices[place], in: plan) else {
                payload.truncate(to: start)
                return
            }
            if place > 0 { scratch.append(UInt8(ascii: ",")) }
            for byte in text {
                switch byte {
                case UInt8(ascii: ","): scratch.append("%2C")
                case UInt8(ascii: "%"): scratch.append("%25")
                default: scratch.append(byte)
                }
            }
        }
        guard payload.appendJSONString(scratch.bytes) else { throw .notUTF8(column: plan.columnNames[indices[0]]) }
    }

    /// Writes one row as an object, without the columns that this row does not have.
    private mutating func writeTuple(
        _ which: RowView.Which, of plan: RelationPlan, row: RowView
    ) throws(PoisonReason) {
        payload.append(UInt8(ascii: "{"))
        var isFirst = true
        for index in plan.columns.indices {
            let value = row.value(of: index, which, in: plan)
            switch value {
            case .absent: continue
            case .null:
                writeKey(index, of: plan, isFirst: isFirst)
                payload.append("null")
            case .text(let text):
                writeKey(index, of: plan, isFirst: isFirst)
                try writeValue(text, at: index, of: plan)
            }
            isFirst = false
        }
        payload.append(UInt8(ascii: "}"))
    }

    @inline(__always)
    private mutating func writeKey(_ index: Int, of plan: RelationPlan, isFirst: Bool) {
        let column = plan.columns[index]
        // Keys are kept with their comma in front; the first goes without.
        let skip = isFirst ? 1 : 0
        plan.keys.withUnsafeBytes { keys in
            let start = column.keyStart + skip
            payload.append(UnsafeRawBufferPointer(rebasing: keys[start..<column.keyStart + column.keyByteCount]))
        }
    }

    @inline(__always)
    private mutating func writeValue(
        _ text: UnsafeRawBufferPointer, at index: Int, of plan: RelationPlan
    ) throws(PoisonReason) {
        switch payload.appendValue(text, of: plan.columns[index]) {
        case nil: return
        case .notUTF8: throw .notUTF8(column: plan.columnNames[index])
        case .malformed:
            throw .malformedValue(column: plan.columnNames[index], type: plan.typeNames[index])
        }
    }

    private mutating func writeChanges(of plan: RelationPlan, row: RowView) throws(PoisonReason) {
        payload.append(",\"changes\":{")
        var isFirst = true
        for index in plan.columns.indices {
            let old = row.value(of: index, .old, in: plan)
            let new = row.value(of: index, .new, in: plan)
            if case .absent = old { continue }
            if case .absent = new { continue }
            if old.hasSameText(as: new) { continue }
            writeKey(index, of: plan, isFirst: isFirst)
            isFirst = false
            payload.append("{\"old\":")
            try writeValueOrNull(old, at: index, of: plan)
            payload.append(",\"new\":")
            try writeValueOrNull(new, at: index, of: plan)
            payload.append(UInt8(ascii: "}"))
        }
        payload.append(UInt8(ascii: "}"))
    }

    private mutating func writeValueOrNull(
        _ value: RowView.Value, at index: Int, of plan: RelationPlan
    ) throws(PoisonReason) {
        if case .text(let text) = value {
            try writeValue(text, at: index, of: plan)
        } else {
            payload.append("null")
        }
    }

    private mutating func writeUnchanged(of plan: RelationPlan, row: RowView) {
        var isFirst = true
        for index in plan.columns.indices {
            guard case .absent = row.value(of: index, .new, in: plan) else { continue }
            payload.append(isFirst ? ",\"unchanged\":[" : ",")
            isFirst = false
            let column = plan.columns[index]
            plan.keys.withUnsafeBytes { keys in
                // The key without its comma and colon.
                let name = keys[column.keyStart + 1..<column.keyStart + column.keyByteCount - 1]
                payload.append(UnsafeRawBufferPointer(rebasing: name))
            }
        }
        if !isFirst { payload.append(UInt8(ascii: "]")) }
    }
}

extension OutputBuffer {
    /// A row's value as one subject token; nil and absent are `%unknown`.
    mutating func appendToken(_ value: RowView.Value?) {
        switch value {
        case nil, .absent: append("%unknown")
        case .null: append("%null")
        case .text(let text):
            if text.isEmpty { append("%empty") }
            for byte in text {
                if EntityNaming.isPlain(byte) {
                    append(byte)
                } else {
                    append(UInt8(ascii: "%"))
                    append(EntityNaming.upperHexadecimalDigits[Int(byte >> 4)])
                    append(EntityNaming.upperHexadecimalDigits[Int(byte & 15)])
                }
            }
        }
    }
}
