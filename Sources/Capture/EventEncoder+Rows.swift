import PGOutput
import WAL

/// The events of rows and of TRUNCATE, each written from its relation's plan.
extension EventEncoder {
    /// Encodes a row's change and leaves it open. Nothing may be open.
    /// - Throws: why it cannot be published as it is; nothing is open then.
    mutating func openRow(
        _ operation: RelationPlan.Operation, of plan: RelationPlan, ordinal: UInt64, row: RowView
    ) throws(EncodingFailure) {
        try beginRow(operation, of: plan, ordinal: ordinal, row: row)
        try layout.writeRow(operation, of: plan, row, to: &self)
        guard !context.casts.hasRequests else { throw .castsNeeded }
        try finish(tail: plan.tail, ordinal: ordinal, kindIndex: operation.kindIndex)
    }

    /// Encodes a TRUNCATE of one table and leaves it open.
    mutating func openTruncate(
        _ operation: RelationPlan.Operation, of plan: RelationPlan, ordinal: UInt64, cascade: Bool,
        restartIdentity: Bool
    ) throws(EncodingFailure) {
        begin(ordinal: ordinal, sentByteCount: 0)
        entityID.removeAll()
        try writeSubject(operation.subject, plan: plan, row: nil)
        try layout.writeTruncate(
            operation.opening, cascade: cascade, restartIdentity: restartIdentity, to: &self)
        try finish(tail: plan.tail, ordinal: ordinal, kindIndex: operation.kindIndex)
    }

    /// Encodes a row's change without its data: what `on_poison = "reference"` publishes.
    ///
    /// An `entity_id` that does not fit is left out: a part of one would be another row's.
    mutating func openReference(
        _ operation: RelationPlan.Operation, of plan: RelationPlan, ordinal: UInt64, row: RowView,
        omitted: PoisonReason
    ) throws(EncodingFailure) {
        do throws(EncodingFailure) {
            try openReference(
                operation, of: plan, ordinal: ordinal, row: row, omitted: omitted.description,
                identity: layout.demandsIdentity ? .required : .optional)
        } catch {
            guard case .poison(.payloadTooLarge) = error, !plan.identityColumns.isEmpty, !layout.demandsIdentity else { throw error }
            try openReference(
                operation, of: plan, ordinal: ordinal, row: row,
                omitted: "\(omitted); its entity_id does not fit either", identity: .leftOut)
        }
    }

    private mutating func openReference(
        _ operation: RelationPlan.Operation, of plan: RelationPlan, ordinal: UInt64, row: RowView, omitted: String,
        identity: Identity
    ) throws(EncodingFailure) {
        try beginRow(operation, of: plan, ordinal: ordinal, row: row, identity: identity)
        try layout.writeReference(operation.opening, omitted: omitted, to: &self)
        try finish(tail: plan.tail, ordinal: ordinal, kindIndex: operation.kindIndex)
    }

    // MARK: - Parts

    /// What becomes of a row's identity.
    enum Identity {
        case required
        /// One that cannot be written is left out: the event says where the row changed, not which.
        case optional
        case leftOut
    }

    /// Writes what comes before the payload: the subject and the ids.
    private mutating func beginRow(
        _ operation: RelationPlan.Operation, of plan: RelationPlan, ordinal: UInt64, row: RowView,
        identity: Identity = .required
    ) throws(EncodingFailure) {
        begin(ordinal: ordinal, sentByteCount: row.byteCount)
        try beginRow(operation, of: plan, row: row, identity: identity)
    }

    /// Writes the subject and `entity_id` of an event whose message id is written.
    mutating func beginRow(
        _ operation: RelationPlan.Operation, of plan: RelationPlan, row: RowView, identity: Identity = .required
    ) throws(EncodingFailure) {
        try writeSubject(operation.subject, plan: plan, row: row)
        do throws(EncodingFailure) {
            try encodeEntityID(of: plan, row: row)
        } catch {
            // One that is too large is left out and told; one that cannot be written is only absent.
            if identity == .required { throw error }
            guard case .poison(let reason) = error else { throw error }
            if identity == .optional, case .payloadTooLarge = reason { throw error }
            entityID.removeAll()
        }
        if identity == .leftOut { entityID.removeAll() }
    }

    /// `entity_id`, where it is known.
    mutating func writeIdentity() {
        guard entityID.count > 0 else { return }
        payload.append(",\"entity_id\":")
        payload.append(entityID.bytes)
    }

    private mutating func writeSubject(
        _ plan: SubjectPlan, plan relation: RelationPlan, row: RowView?
    ) throws(EncodingFailure) {
        subject.removeAll()
        if let fixed = plan.fixed {
            subject.append(fixed)
        } else {
            for index in plan.segments.indices {
                switch plan.segments[index] {
                case .bytes(let bytes): subject.append(bytes)
                case .column(let index): try appendToken(of: index, of: relation, row: row)
                }
            }
        }
        try checkSubject()
    }

    private mutating func appendToken(
        of index: Int?, of plan: RelationPlan, row: RowView?
    ) throws(EncodingFailure) {
        guard let index, let value = row?.value(of: index, in: plan) else { return subject.append("%unknown") }
        switch value {
        case .absent: subject.append("%unknown")
        case .null: subject.append(EntityNaming.nullToken)
        case .text(let text): subject.appendToken(try shown(text, at: index, of: plan))
        }
    }

    /// Puts the row's identity into `entityID`; nothing where it is not known.
    mutating func encodeEntityID(of plan: RelationPlan, row: RowView) throws(EncodingFailure) {
        entityID.removeAll()
        let indices = plan.identityColumns
        guard !indices.isEmpty else { return }
        if indices.count == 1 {
            guard case .text(let text) = row.value(of: indices[0], in: plan) else { return }
            guard entityID.appendJSONString(try shown(text, at: indices[0], of: plan)) else {
                throw .poison(.notUTF8(column: plan.columnNames[indices[0]]))
            }
            guard !entityID.isOverflowing else { throw tooLarge }
            return
        }
        scratch.removeAll()
        for place in indices.indices {
            guard case .text(let text) = row.value(of: indices[place], in: plan) else { return }
            if place > 0 { scratch.append(UInt8(ascii: ",")) }
            let part = try shown(text, at: indices[place], of: plan)
            guard scratch.reserve(part.count) else { throw tooLarge }
            for byte in part {
                switch byte {
                case UInt8(ascii: ","): scratch.append("%2C")
                case UInt8(ascii: "%"): scratch.append("%25")
                default: scratch.append(byte)
                }
            }
        }
        guard entityID.appendJSONString(scratch.bytes) else {
            throw .poison(.notUTF8(column: plan.columnNames[indices[0]]))
        }
        guard !scratch.isOverflowing, !entityID.isOverflowing else { throw tooLarge }
    }

    /// The text that goes out for a column's value: the value's own, or what masks it. Valid until the next call.
    private mutating func shown(
        _ text: UnsafeRawBufferPointer, at index: Int, of plan: RelationPlan
    ) throws(EncodingFailure) -> UnsafeRawBufferPointer {
        switch plan.columns[index].treatment {
        case .plain: return text
        // Nobody asks for one; should somebody, it says nothing.
        case .excluded: return UnsafeRawBufferPointer(rebasing: text[..<0])
        case .fixedText(let place):
            mask.removeAll()
            mask.append(plan.fixedTexts[place])
        case .hmac:
            mask.removeAll()
            let isMasked = withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { digest in
                // Settings refuse a mask without a key.
                guard let hmac = functions.hmacSHA256, hmac(text, digest) else { return false }
                for byte in digest { mask.append(hexadecimal: byte) }
                return true
            }
            guard isMasked else { throw .digestUnavailable }
        }
        return mask.bytes
    }

    /// Writes one row as an object, without the columns that this row does not have.
    mutating func writeTuple(
        _ which: RowView.Which, of plan: RelationPlan, row: RowView
    ) throws(EncodingFailure) {
        payload.append(UInt8(ascii: "{"))
        var isFirst = true
        for index in plan.columns.indices where plan.columns[index].treatment != .excluded {
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
    ) throws(EncodingFailure) {
        let column = plan.columns[index]
        guard column.treatment == .plain else { return try writeMask(of: text, at: index, of: plan) }
        let fault =
            if let shape = column.shape {
                payload.appendScalar(text, as: shape)
            } else {
                payload.appendValue(text, as: plan.forms[index], &context)
            }
        if let fault { throw failure(fault, at: index, of: plan) }
        guard !payload.isOverflowing else { throw tooLarge }
    }

    private mutating func writeMask(
        of text: UnsafeRawBufferPointer, at index: Int, of plan: RelationPlan
    ) throws(EncodingFailure) {
        // A fixed text is a Swift string and a digest is hexadecimal: both are UTF-8.
        guard payload.appendJSONString(try shown(text, at: index, of: plan)) else {
            throw failure(.notUTF8, at: index, of: plan)
        }
    }

    private func failure(_ fault: OutputBuffer.ValueFault, at index: Int, of plan: RelationPlan) -> EncodingFailure {
        switch fault {
        case .notUTF8: .poison(.notUTF8(column: plan.columnNames[index]))
        case .malformed: .poison(.malformedValue(column: plan.columnNames[index], type: plan.typeNames[index]))
        case .tooLarge: tooLarge
        case .compositeChanged: .compositeChanged
        case .castsNeeded: .castsNeeded
        }
    }

    mutating func writeChanges(of plan: RelationPlan, row: RowView) throws(EncodingFailure) {
        payload.append(UInt8(ascii: "{"))
        var isFirst = true
        for index in plan.columns.indices where plan.columns[index].treatment != .excluded {
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
    ) throws(EncodingFailure) {
        if case .text(let text) = value {
            try writeValue(text, at: index, of: plan)
        } else {
            payload.append("null")
        }
    }

    mutating func writeUnchanged(of plan: RelationPlan, row: RowView) {
        var isFirst = true
        for index in plan.columns.indices where plan.columns[index].treatment != .excluded {
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
    /// A value's text as one subject token; of one that no subject can hold only so much that it is too long.
    fileprivate mutating func appendToken(_ text: UnsafeRawBufferPointer) {
        EntityNaming.encodeToken(UnsafeRawBufferPointer(rebasing: text.prefix(EventEncoder.subjectByteCountLimit + 1))) {
            append($0)
        }
    }
}
