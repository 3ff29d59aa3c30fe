import PGOutput

/// The rows of one Insert, Update or Delete, with its states told apart: what was sent, what is null, what is not there.
struct RowView {
    enum Which {
        case new, old
    }

    enum Value {
        /// Not sent: untouched TOAST, or no part of an old key.
        case absent
        case null
        case text(UnsafeRawBufferPointer)

        func hasSameText(as other: Value) -> Bool {
            switch (self, other) {
            case (.absent, .absent), (.null, .null): true
            case (.text(let mine), .text(let theirs)): mine.elementsEqual(theirs)
            case (.absent, _), (.null, _), (.text, _): false
            }
        }
    }

    /// The row that `entity` shows: the new one, of a DELETE the old one.
    let current: Which
    private let message: UnsafeRawBufferPointer
    private let new: UnsafeBufferPointer<TupleColumn>
    private let old: UnsafeBufferPointer<TupleColumn>
    private let oldTuple: OldTuple

    /// The pointers are valid as long as the message is: the view lives inside one `receive`.
    init(
        current: Which, message: UnsafeRawBufferPointer, new: UnsafeBufferPointer<TupleColumn>,
        old: UnsafeBufferPointer<TupleColumn>, oldTuple: OldTuple
    ) {
        self.current = current
        self.message = message
        self.new = new
        self.old = old
        self.oldTuple = oldTuple
    }

    /// What PostgreSQL sent.
    var byteCount: Int { message.count }

    var hasOld: Bool { oldTuple != .none }

    /// The value in the row that `entity` shows.
    func value(of index: Int, in plan: RelationPlan) -> Value {
        value(of: index, current, in: plan)
    }

    @inline(__always)
    func value(of index: Int, _ which: Which, in plan: RelationPlan) -> Value {
        switch which {
        case .new:
            let column = new[index]
            switch column.kind {
            case .null: return .null
            case .text, .binary: return .text(text(of: column))
            // An untouched value is the old row's, where that was sent.
            case .unchanged: return oldTuple == .none ? .absent : value(of: index, .old, in: plan)
            }
        case .old:
            // An old key has every column, but only the key's mean anything: the others are sent as null.
            if oldTuple == .key, !plan.columns[index].isKey { return .absent }
            let column = old[index]
            switch column.kind {
            // A key's columns are NOT NULL: a null is one that the partition's own identity has not.
            case .null: return oldTuple == .key || plan.areOldNullsUnknown ? .absent : .null
            case .text, .binary: return .text(text(of: column))
            case .unchanged: return .absent
            }
        }
    }

    @inline(__always)
    private func text(of column: TupleColumn) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: message[Int(column.start)..<Int(column.start) + Int(column.byteCount)])
    }
}
