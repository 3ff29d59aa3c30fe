/// The entity that is Slotstream's own: what lies under `{prefix}._slotstream.` are its markers and what is in quarantine, and nothing that somebody else could forge.
public enum ReservedEntity {
    public static let name = "_slotstream"

    /// The operation of a quarantined event, and its subject's last token.
    static let poisonOperation = "POISON"

    /// The operation of a marker in the place of what was passed over on purpose, and its subject's last token.
    public static let skipOperation = "SKIP"

    /// The operation of a backfill's markers, and the last token of their subject.
    public static let backfillOperation = "BACKFILL"

    /// The operations of all that stands there.
    public static let operations: Set<String> = ["GAP", "HOLE", skipOperation, backfillOperation, poisonOperation]

    /// Members of events that mean something. Consumers may read names without regard to case (Go's encoding/json does), so that a name which
    /// differs in case only could stand in for one that is set by us.
    static let memberNames: Set<[UInt8]> = Set(
        [
            "id", "entity_type", "operation", "entity_id", "timestamp", "entity", "before", "changes", "unchanged",
            "truncate", "omitted", "transaction", "source",
        ].map { Array($0.utf8) })

    /// Whether an entity's name is the reserved one, in any case.
    public static func isReserved(_ entity: String) -> Bool {
        folded(Array(entity.utf8)) == Array(name.utf8)
    }

    /// The first tokens of every reserved subject.
    static func subject(prefix: String) -> [UInt8] { Array("\(prefix).\(name)".utf8) }

    /// Whether `subject` is `reserved`, or goes on behind it with another token.
    @inline(__always)
    static func isReserved(_ subject: UnsafeRawBufferPointer, _ reserved: [UInt8]) -> Bool {
        guard subject.count >= reserved.count else { return false }
        // From the end: the prefix, with which it begins, is every subject's.
        var index = reserved.count
        while index > 0 {
            index -= 1
            if subject[index] != reserved[index] { return false }
        }
        return subject.count == reserved.count || subject[reserved.count] == UInt8(ascii: ".")
    }

    /// A name in small letters as far as they decide whether it is one of ours. Two characters that are not ASCII have an ASCII letter as their
    /// small form, by Unicode's simple folding: `ſ` and the Kelvin sign.
    static func folded(_ name: [UInt8]) -> [UInt8] {
        var folded: [UInt8] = []
        var index = 0
        while index < name.count {
            let rest = name[index...]
            if rest.starts(with: [0xC5, 0xBF]) {
                folded.append(UInt8(ascii: "s"))
                index += 2
            } else if rest.starts(with: [0xE2, 0x84, 0xAA]) {
                folded.append(UInt8(ascii: "k"))
                index += 3
            } else {
                let byte = name[index]
                folded.append((UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte)
                index += 1
            }
        }
        return folded
    }
}
