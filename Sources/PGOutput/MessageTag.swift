/// The first byte of a message: all the kinds that protocol versions 1 to 4 know.
///
/// Source: PostgreSQL, `logicalproto.h`, `LogicalRepMsgType`.
enum MessageTag: UInt8, CaseIterable {
    case begin = 0x42  // B
    case commit = 0x43  // C
    case origin = 0x4F  // O
    case relation = 0x52  // R
    case type = 0x59  // Y
    case insert = 0x49  // I
    case update = 0x55  // U
    case delete = 0x44  // D
    case truncate = 0x54  // T
    case message = 0x4D  // M
    case streamStart = 0x53  // S
    case streamStop = 0x45  // E
    case streamCommit = 0x63  // c
    case streamAbort = 0x41  // A
    case beginPrepare = 0x62  // b
    case prepare = 0x50  // P
    case commitPrepared = 0x4B  // K
    case rollbackPrepared = 0x72  // r
    case streamPrepare = 0x70  // p

    /// Whether a message of this kind may stand between Stream Start and Stream Stop (`true`), or outside (`false`).
    ///
    /// PostgreSQL's own subscriber refuses the others too: an xid read where none stands would shift every field that
    /// follows.
    func isAllowed(inStream: Bool) -> Bool {
        switch self {
        case .origin, .relation, .type, .insert, .update, .delete, .truncate, .message: true
        case .streamStop: inStream
        case .begin, .commit, .streamStart, .streamCommit, .streamAbort, .beginPrepare, .prepare, .commitPrepared,
            .rollbackPrepared, .streamPrepare:
            !inStream
        }
    }
}
