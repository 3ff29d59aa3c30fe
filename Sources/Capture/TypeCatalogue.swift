/// One row of `pg_type`, as far as a value's JSON depends on it.
public struct TypeRow: Sendable, Equatable {
    /// A column of a composite type.
    public struct Attribute: Sendable, Equatable {
        public var name: String
        public var typeOID: UInt32

        public init(name: String, typeOID: UInt32) {
            self.name = name
            self.typeOID = typeOID
        }
    }

    /// A type's cast to json through a function, which `to_json` uses for types that are not PostgreSQL's own.
    public enum JSONCast: Sendable, Equatable {
        case none
        /// The function of the extension hstore, whose rule is known here.
        case hstore
        /// One that is called.
        case function
        /// One that is not called, since it is an ordinary user's own code: the value's text goes out.
        case withheld
    }

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
    /// Of a composite type, in order, without dropped ones.
    public var attributes: [Attribute]
    public var jsonCast: JSONCast

    public init(
        oid: UInt32, name: String, kind: Character, elementOID: UInt32 = 0, elementDelimiter: UInt8 = 0x2C,
        baseOID: UInt32 = 0, attributes: [Attribute] = [], jsonCast: JSONCast = .none
    ) {
        self.oid = oid
        self.name = name
        self.kind = kind
        self.elementOID = elementOID
        self.elementDelimiter = elementDelimiter
        self.baseOID = baseOID
        self.attributes = attributes
        self.jsonCast = jsonCast
    }

    /// The types that this one is made of.
    var partOIDs: [UInt32] {
        if baseOID != 0 { return [baseOID] }
        if elementOID != 0 { return [elementOID] }
        return attributes.map(\.typeOID)
    }
}

/// What is known about types: the usual ones by their fixed OIDs, the others as they were looked up, once each.
public struct TypeCatalogue: Sendable {
    /// Types made of types made of …: PostgreSQL allows no cycle; the bound is for a catalogue that lies.
    private static let depthLimit = 32

    private var rows: [UInt32: TypeRow] = [:]
    private var unknown: Set<UInt32> = []

    public init() {}

    /// Those among `oids`, and those that they are made of, that nobody has looked up yet.
    public func missing(_ oids: some Sequence<UInt32>) -> [UInt32] {
        var missing: [UInt32] = []
        visit(oids) { oid, row in
            if row == nil, !unknown.contains(oid) { missing.append(oid) }
        }
        return missing
    }

    public mutating func insert(_ row: TypeRow) {
        rows[row.oid] = row
        unknown.remove(row.oid)
    }

    /// The catalogue no longer has it: dropped since the change was made.
    public mutating func insertUnknown(_ oid: UInt32) { unknown.insert(oid) }

    /// Forgets `oids` and what they are made of: a type's attributes and its cast to json may have changed.
    public mutating func forget(_ oids: some Sequence<UInt32>) {
        var known: [UInt32] = []
        visit(oids) { oid, _ in known.append(oid) }
        for oid in known {
            rows[oid] = nil
            unknown.remove(oid)
        }
    }

    /// The names of those that have a cast to json which is not called.
    public var withheldCasts: [String] { rows.values.filter { $0.jsonCast == .withheld }.map(\.name).sorted() }

    /// For people.
    func name(of oid: UInt32) -> String {
        rows[oid]?.name ?? Self.builtIn[oid]?.name ?? "type \(oid)"
    }

    /// How `to_json` shows it. A domain is shown as its base type.
    func form(of oid: UInt32) -> ValueForm {
        var known: [UInt32: ValueForm] = [:]
        return form(of: oid, depth: 0, &known)
    }

    /// - Parameter known: Each type's form is made once and shared: composites of composites, twice each, would be made 2ⁿ times.
    private func form(of oid: UInt32, depth: Int, _ known: inout [UInt32: ValueForm]) -> ValueForm {
        if let builtIn = Self.builtIn[oid] { return builtIn.form }
        if let form = known[oid] { return form }
        let form = newForm(of: oid, depth: depth, &known)
        known[oid] = form
        return form
    }

    private func newForm(of oid: UInt32, depth: Int, _ known: inout [UInt32: ValueForm]) -> ValueForm {
        guard depth < Self.depthLimit, let row = rows[oid] else { return .unknown }
        if row.baseOID != 0 { return form(of: row.baseOID, depth: depth + 1, &known) }
        if row.elementOID != 0 {
            return .array(of: form(of: row.elementOID, depth: depth + 1, &known), delimiter: row.elementDelimiter)
        }
        if row.kind == "c" {
            var fields: [CompositeForm.Field] = []
            for attribute in row.attributes {
                let form = form(of: attribute.typeOID, depth: depth + 1, &known)
                fields.append(CompositeForm.Field(key: JSONText.string(attribute.name) + Array(":".utf8), form: form))
            }
            return .composite(CompositeForm(fields: fields))
        }
        switch row.jsonCast {
        case .none: return .scalar(.text)
        case .hstore: return .hstore
        case .function: return .cast(typeOID: oid)
        case .withheld: return .withheldCast
        }
    }

    /// Calls `body` with each type that has to be looked up, and what is known of it.
    private func visit(_ oids: some Sequence<UInt32>, _ body: (UInt32, TypeRow?) -> Void) {
        var due = oids.map { (oid: $0, depth: 0) }
        var seen: Set<UInt32> = []
        while let (oid, depth) = due.popLast() {
            guard oid != 0, Self.builtIn[oid] == nil, depth < Self.depthLimit, seen.insert(oid).inserted else {
                continue
            }
            let row = rows[oid]
            body(oid, row)
            due += (row?.partOIDs ?? []).map { ($0, depth + 1) }
        }
    }

    private struct BuiltIn {
        var name: String
        var form: ValueForm
    }

    /// PostgreSQL's own types of every day (`pg_type.dat`) and their arrays: no question is asked about them. Their OIDs mean the same in every database.
    private static let builtIn: [UInt32: BuiltIn] = {
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
        // `typsubscript` makes true arrays of these two, so `to_json` does; their text is not an array's.
        let vectors: [(name: String, oid: UInt32, arrayOID: UInt32, shape: ValueShape)] = [
            ("int2vector", 22, 1006, .number), ("oidvector", 30, 1013, .text),
        ]
        var types: [UInt32: BuiltIn] = [:]
        func add(_ name: String, _ oid: UInt32, _ arrayOID: UInt32, _ form: ValueForm) {
            types[oid] = BuiltIn(name: name, form: form)
            types[arrayOID] = BuiltIn(name: name + "[]", form: .array(of: form, delimiter: comma))
        }
        for scalar in scalars { add(scalar.name, scalar.oid, scalar.arrayOID, .scalar(scalar.shape)) }
        for vector in vectors { add(vector.name, vector.oid, vector.arrayOID, .vector(of: vector.shape)) }
        return types
    }()
}
