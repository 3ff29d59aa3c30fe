public import WAL

/// What a stored event tells of itself; nil is what its format does not tell.
public struct ReadEvent: Equatable, Sendable {
    /// What an event tells of.
    public enum Kind: Sendable {
        /// A row, or a TRUNCATE of one table.
        case change
        /// A logical message.
        case message
        /// What could not be an event of its own, on the reserved subject.
        case quarantined
    }

    /// Empty: it has none, as markers have not.
    public var entity: String
    public var operation: String
    /// nil of a marker too, and of what somebody else wrote.
    public var kind: Kind?
    public var position: Position?
    /// Whether it is the last event of its transaction, or belongs to none.
    public var isLast: Bool?
    /// Of an event of a row or table: a logical message may have a time of its own.
    public var commitTimestamp: PostgresTimestamp?
    /// `schema.table`; nil of a logical message too.
    public var table: String?

    public init(
        entity: String, operation: String, kind: Kind? = nil, position: Position? = nil, isLast: Bool? = nil,
        commitTimestamp: PostgresTimestamp? = nil, table: String? = nil
    ) {
        self.entity = entity
        self.operation = operation
        self.kind = kind
        self.position = position
        self.isLast = isLast
        self.commitTimestamp = commitTimestamp
        self.table = table
    }
}

/// One JSON object that is read back: its outermost members. Valid as long as the bytes are.
struct EventObject {
    private let text: UnsafeRawBufferPointer
    private let members: [JSONObjectScanner.Member]

    /// nil: it is not one JSON object. However deep a value in it nests: what PostgreSQL stores as json was written too.
    init?(_ text: UnsafeRawBufferPointer) {
        guard let members = try? JSONObjectScanner.members(of: text, depthLimit: .max) else { return nil }
        self.text = text
        self.members = members
    }

    /// Its members, each by itself.
    var rowColumns: [ReadRow.Column] {
        members.map { ReadRow.Column(name: $0.key, json: Array(text[$0.valueRange])) }
    }

    /// The member's text, if it is a string.
    func string(_ name: StaticString) -> String? {
        range(of: name).flatMap { JSONObjectScanner.string(text, $0) }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The member, if it is an object.
    func object(_ name: StaticString) -> EventObject? {
        range(of: name).flatMap { EventObject(UnsafeRawBufferPointer(rebasing: text[$0])) }
    }

    /// The member, if it is an integer without a sign.
    func integer(_ name: StaticString) -> UInt64? {
        range(of: name).flatMap { UInt64(String(decoding: text[$0], as: UTF8.self)) }
    }

    /// The member, if it is true or false.
    func bool(_ name: StaticString) -> Bool? {
        range(of: name).flatMap { Bool(String(decoding: text[$0], as: UTF8.self)) }
    }

    /// The member's value as a text: a string's own, else the JSON.
    func text(_ name: StaticString) -> String? { range(of: name).map { text(at: $0) } }

    /// All members in their order, their values as texts.
    var texts: [(name: String, value: String)] {
        members.map { (String(decoding: $0.key, as: UTF8.self), text(at: $0.valueRange)) }
    }

    /// The members that are objects.
    var objects: [(name: String, object: EventObject)] {
        members.compactMap { member in
            EventObject(UnsafeRawBufferPointer(rebasing: text[member.valueRange])).map { (String(decoding: member.key, as: UTF8.self), $0) }
        }
    }

    private func text(at range: Range<Int>) -> String {
        String(decoding: JSONObjectScanner.string(text, range) ?? Array(text[range]), as: UTF8.self)
    }

    private func range(of name: StaticString) -> Range<Int>? {
        let name = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return members.first { $0.key.elementsEqual(name) }?.valueRange
    }
}
