/// The subject's template, read once: `{prefix}.{entity}.{operation}` and what else contract and configuration allow.
///
/// Placeholders: `{prefix} {database} {schema} {table} {entity} {operation} {column:NAME}`. It begins with `{prefix}.`, so that every subject lies within the stream.
public struct SubjectTemplate: Sendable, Equatable {
    enum Segment: Sendable, Equatable {
        case literal([UInt8])
        case prefix, database, schema, table, entity, operation
        case column(String)
    }

    let segments: [Segment]

    /// - Throws: `CaptureError.subjectTemplate` with what is wrong and what is allowed.
    public init(_ template: String) throws(CaptureError) {
        guard template.hasPrefix("{prefix}.") else {
            throw .subjectTemplate("the subject template \"\(template)\" must begin with {prefix}.")
        }
        var segments: [Segment] = []
        var literal: [UInt8] = []
        /// Each placeholder as one plain byte, for a column's name may hold dots.
        var tokens: [UInt8] = []
        var rest = Substring(template)
        while let character = rest.first {
            guard character == "{" else {
                let isAllowed = character.utf8.allSatisfy { EntityNaming.isPlain($0) || $0 == UInt8(ascii: ".") }
                guard isAllowed else {
                    throw .subjectTemplate(
                        "the subject template \"\(template)\" has \"\(character)\": outside placeholders only A-Z a-z 0-9 _ - and . are allowed"
                    )
                }
                literal += Array(character.utf8)
                tokens += Array(character.utf8)
                rest = rest.dropFirst()
                continue
            }
            guard let end = rest.firstIndex(of: "}") else {
                throw .subjectTemplate("the subject template \"\(template)\" has { without }")
            }
            if !literal.isEmpty { segments.append(.literal(literal)) }
            literal = []
            tokens.append(UInt8(ascii: "x"))
            segments.append(try Self.placeholder(rest[rest.index(after: rest.startIndex)..<end], in: template))
            rest = rest[rest.index(after: end)...]
        }
        if !literal.isEmpty { segments.append(.literal(literal)) }
        guard !tokens.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).contains([]) else {
            throw .subjectTemplate("the subject template \"\(template)\" has an empty token")
        }
        self.segments = segments
        guard !isReserved(prefix: nil, entity: nil) else {
            throw .subjectTemplate("the subject template \"\(template)\" begins with the token \(ReservedEntity.name), which is Slotstream's own")
        }
    }

    /// Whether the token behind the prefix is the reserved one in every subject of this prefix and entity, as far as these decide on it.
    /// - Parameters:
    ///   - prefix: nil: any.
    ///   - entity: nil: any.
    public func isReserved(prefix: String?, entity: String?) -> Bool {
        var token: [UInt8] = []
        // The first is the prefix itself, and the second begins with the dot behind it.
        for segment in segments.dropFirst() {
            switch segment {
            case .literal(let bytes): token += bytes
            case .prefix:
                guard let prefix else { return false }
                token += Array(prefix.utf8)
            case .entity:
                guard let entity else { return false }
                token += EntityNaming.token(entity)
            case .database, .schema, .table, .operation, .column: return false
            }
            if token.dropFirst().contains(UInt8(ascii: ".")) { break }
        }
        return ReservedEntity.isReserved(String(decoding: token.dropFirst().prefix { $0 != UInt8(ascii: ".") }, as: UTF8.self))
    }

    /// The columns that the template names, in its order.
    public var columnNames: [String] {
        segments.compactMap { if case .column(let name) = $0 { name } else { nil } }
    }

    private static func placeholder(_ name: Substring, in template: String) throws(CaptureError) -> Segment {
        switch name {
        case "prefix": return .prefix
        case "database": return .database
        case "schema": return .schema
        case "table": return .table
        case "entity": return .entity
        case "operation": return .operation
        default:
            if name.hasPrefix("column:"), name.utf8.count > 7 { return .column(String(name.dropFirst(7))) }
            throw .subjectTemplate(
                "the subject template \"\(template)\" has {\(name)}: allowed are {prefix} {database} {schema} {table} {entity} {operation} {column:NAME}"
            )
        }
    }
}

/// A subject with everything filled in that is the same for all rows of a relation and operation.
struct SubjectPlan: Sendable {
    enum Segment: Sendable {
        case bytes([UInt8])
        /// The index of a column of the relation; nil: the relation has no such column.
        case column(Int?)
    }

    /// The whole subject where no row decides on it, which is the rule.
    let fixed: [UInt8]?
    let segments: [Segment]

    /// A logical message has neither schema nor table: nil.
    init(
        _ template: SubjectTemplate, prefix: String, database: String, schema: String?, table: String?, entity: String,
        operation: String, columnIndex: (String) -> Int?
    ) {
        var segments: [Segment] = []
        var run: [UInt8] = []
        for segment in template.segments {
            switch segment {
            case .literal(let bytes): run += bytes
            case .prefix: run += Array(prefix.utf8)
            case .database: run += EntityNaming.token(database)
            case .schema: run += schema.map(EntityNaming.token) ?? EntityNaming.unknownToken
            case .table: run += table.map(EntityNaming.token) ?? EntityNaming.unknownToken
            case .entity: run += EntityNaming.token(entity)
            case .operation: run += EntityNaming.token(operation)
            case .column(let name):
                segments.append(.bytes(run))
                run = []
                segments.append(.column(columnIndex(name)))
            }
        }
        fixed = segments.isEmpty ? run : nil
        if !run.isEmpty { segments.append(.bytes(run)) }
        self.segments = segments
    }

    /// The subject where there is no row whose columns could fill it.
    var unknownColumns: [UInt8] {
        var subject: [UInt8] = []
        for segment in segments {
            switch segment {
            case .bytes(let bytes): subject += bytes
            case .column: subject += EntityNaming.unknownToken
            }
        }
        return subject
    }
}
