/// How a scalar's text becomes JSON, as `to_json` does it.
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

/// How a type's text becomes JSON: a shape, or a structure of forms. As `to_json` does it (`json_categorize_type`).
indirect enum ValueForm: Sendable, Equatable {
    case scalar(ValueShape)
    /// `{…}`, its elements parted by the delimiter of their type.
    case array(of: ValueForm, delimiter: UInt8)
    /// `int2vector` and `oidvector`: elements parted by spaces.
    case vector(of: ValueShape)
    /// `(…)`: an object.
    case composite(CompositeForm)
    /// An extension's hstore, by the rule of its own cast to json.
    case hstore
    /// A type with any other cast to json: the database is asked, a value at a time.
    case cast(typeOID: UInt32)
    /// A type whose cast to json is not called: its text, and it is counted.
    case withheldCast
    /// The catalogue no longer has the type, or cannot show it yet: its text, and it is counted.
    case unknown

    /// How many structures it is at most, one inside the other.
    var depth: Int {
        switch self {
        case .array(let element, _): 1 + element.depth
        case .composite(let composite): 1 + (composite.fields.map(\.form.depth).max() ?? 0)
        case .scalar, .vector, .hstore, .cast, .withheldCast, .unknown: 0
        }
    }

    /// Whether the database is asked about its values, or about some inside.
    var hasCasts: Bool {
        switch self {
        case .cast: true
        case .array(let element, _): element.hasCasts
        case .composite(let composite): composite.fields.contains { $0.form.hasCasts }
        case .scalar, .vector, .hstore, .withheldCast, .unknown: false
        }
    }

    /// Whether it is a composite, or made of some.
    var hasComposites: Bool {
        switch self {
        case .composite: true
        case .array(let element, _): element.hasComposites
        case .scalar, .vector, .hstore, .cast, .withheldCast, .unknown: false
        }
    }
}

/// A composite type's fields, in the order of their text.
struct CompositeForm: Sendable, Equatable {
    struct Field: Sendable, Equatable {
        /// `"name":`.
        var key: [UInt8]
        var form: ValueForm
    }

    var fields: [Field]
}
