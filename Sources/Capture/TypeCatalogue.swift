/// How a type's text becomes JSON, as `to_json` does it.
public enum ValueShape: Sendable, Equatable {
    /// As it stands if it is a JSON number, else (`NaN`, `Infinity`) quoted.
    case number
    case boolean
    /// `json` and `jsonb`: verbatim.
    case json
    /// `date` and everything without a rule of its own: quoted and escaped.
    case text
    /// Quoted, with `T` between date and time.
    case timestamp
    /// Quoted, with `T` and a full offset: `+00:00`.
    case timestampWithTimeZone
}

/// A type as the column plans need it.
public struct ColumnType: Sendable, Equatable {
    /// Of the value, or of an array's elements.
    public var shape: ValueShape
    /// The character between an array's elements; nil: not an array.
    public var arrayDelimiter: UInt8?
    public var name: String

    public init(shape: ValueShape, arrayDelimiter: UInt8? = nil, name: String) {
        self.shape = shape
        self.arrayDelimiter = arrayDelimiter
        self.name = name
    }
}

/// One row of `pg_type`, as far as a value's JSON depends on it.
public struct TypeRow: Sendable, Equatable {
    public var oid: UInt32
    public var name: String
    /// `pg_type.typtype`: `b c d e p r m`.
    public var kind: Character
    /// `pg_type.typelem` where the type is a true array, else 0.
    public var elementOID: UInt32
    /// `pg_type.typdelim` of the element type.
    public var elementDelimiter: UInt8
    /// `pg_type.typbasetype` of a domain, else 0.
    public var baseOID: UInt32

    public init(
        oid: UInt32, name: String, kind: Character, elementOID: UInt32, elementDelimiter: UInt8, baseOID: UInt32
    ) {
        self.oid = oid
        self.name = name
        self.kind = kind
        self.elementOID = elementOID
        self.elementDelimiter = elementDelimiter
        self.baseOID = baseOID
    }
}

/// What is known about types: PostgreSQL's own by their fixed OIDs, the others as they were looked up.
public struct TypeCatalogue: Sendable {
    /// `FirstNormalObjectId`: below it OIDs are PostgreSQL's own and mean the same in every database.
    public static let firstUserOID: UInt32 = 16_384

    private var rows: [UInt32: TypeRow] = [:]
    private var unknown: Set<UInt32> = []

    public init() {}

    /// The user-defined types among `oids`, and those that they are made of, that nobody has looked up yet.
    public func missing(_ oids: some Sequence<UInt32>) -> [UInt32] {
        var missing: [UInt32] = []
        for oid in oids {
            var next = oid
            // A domain over a domain over … ends: PostgreSQL does not allow cycles. The bound is for a catalogue that lies.
            for _ in 0..<32 {
                guard next >= Self.firstUserOID, !unknown.contains(next) else { break }
                guard let row = rows[next] else {
                    if !missing.contains(next) { missing.append(next) }
                    break
                }
                next = row.baseOID != 0 ? row.baseOID : row.elementOID
            }
        }
        return missing
    }

    public mutating func insert(_ row: TypeRow) { rows[row.oid] = row }

    /// The catalogue no longer has it: dropped since the change was made.
    public mutating func insertUnknown(_ oid: UInt32) { unknown.insert(oid) }

    /// A domain is described as its base type, as `to_json` treats it.
    public func description(of oid: UInt32) -> ColumnType {
        var current = oid
        for _ in 0..<32 {
            if let known = Self.builtIn[current] { return known }
            guard let row = rows[current] else { break }
            if row.baseOID != 0 {
                current = row.baseOID
            } else if row.elementOID != 0 {
                let element = description(ofElement: row.elementOID)
                return ColumnType(shape: element.shape, arrayDelimiter: row.elementDelimiter, name: row.name)
            } else {
                return ColumnType(shape: .text, name: row.name)
            }
        }
        return ColumnType(shape: .text, name: "type \(oid)")
    }

    private func description(ofElement oid: UInt32) -> ColumnType {
        var current = oid
        for _ in 0..<32 {
            if let known = Self.builtIn[current] {
                // Elements that are arrays themselves, behind a domain: their text is all that is known here.
                return known.arrayDelimiter == nil ? known : ColumnType(shape: .text, name: known.name)
            }
            guard let row = rows[current], row.baseOID != 0 else { break }
            current = row.baseOID
        }
        return ColumnType(shape: .text, name: "type \(oid)")
    }

    /// PostgreSQL's own types (`pg_type.dat`) and their arrays. What is not here goes out as text.
    private static let builtIn: [UInt32: ColumnType] = {
        let comma = UInt8(ascii: ",")
        let scalars: [(name: String, oid: UInt32, arrayOID: UInt32, shape: ValueShape)] = [
            ("bool", 16, 1000, .boolean), ("bytea", 17, 1001, .text), ("\"char\"", 18, 1002, .text),
            ("name", 19, 1003, .text), ("int8", 20, 1016, .number), ("int2", 21, 1005, .number),
            ("int4", 23, 1007, .number), ("text", 25, 1009, .text), ("oid", 26, 1028, .text),
            ("json", 114, 199, .json), ("float4", 700, 1021, .number), ("float8", 701, 1022, .number),
            ("bpchar", 1042, 1014, .text), ("varchar", 1043, 1015, .text), ("date", 1082, 1182, .text),
            ("time", 1083, 1183, .text), ("timestamp", 1114, 1115, .timestamp),
            ("timestamptz", 1184, 1185, .timestampWithTimeZone), ("interval", 1186, 1187, .text),
            ("timetz", 1266, 1270, .text), ("numeric", 1700, 1231, .number), ("uuid", 2950, 2951, .text),
            ("jsonb", 3802, 3807, .json),
        ]
        var types: [UInt32: ColumnType] = [:]
        for scalar in scalars {
            types[scalar.oid] = ColumnType(shape: scalar.shape, name: scalar.name)
            types[scalar.arrayOID] = ColumnType(
                shape: scalar.shape, arrayDelimiter: comma, name: scalar.name + "[]")
        }
        return types
    }()
}
