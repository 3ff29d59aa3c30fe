/// Which subjects a template makes for an entity or an operation, as NATS filters them, and which entity and operation a subject has.
public struct SubjectFilter: Sendable, Equatable {
    private enum Piece: Equatable {
        case text([UInt8])
        case entity
        case operation
        case other
    }

    /// What stands in each token for whatever it may be; `*` where that is more than one text.
    private let tokens: [String]
    /// Where the entity is a token of its own; nil: nowhere.
    private let entityIndex: Int?
    /// Where the operation is a token of its own; nil: nowhere.
    private let operationIndex: Int?
    private let prefixCount: Int

    /// Of the subjects that `template` makes with this prefix.
    public init(_ template: SubjectTemplate, prefix: String) {
        let dot = UInt8(ascii: ".")
        var pieces: [[Piece]] = [[]]
        func append(_ text: [UInt8], to pieces: inout [[Piece]]) {
            for (index, part) in text.split(separator: dot, omittingEmptySubsequences: false).enumerated() {
                if index > 0 { pieces.append([]) }
                if !part.isEmpty { pieces[pieces.count - 1].append(.text(Array(part))) }
            }
        }
        for segment in template.segments {
            switch segment {
            case .literal(let bytes): append(bytes, to: &pieces)
            case .prefix: append(Array(prefix.utf8), to: &pieces)
            case .entity: pieces[pieces.count - 1].append(.entity)
            case .operation: pieces[pieces.count - 1].append(.operation)
            case .database, .schema, .table, .column: pieces[pieces.count - 1].append(.other)
            }
        }
        tokens = pieces.map { token in
            if token.count == 1, case .text(let text) = token[0] { String(decoding: text, as: UTF8.self) } else { "*" }
        }
        entityIndex = pieces.firstIndex(of: [.entity])
        operationIndex = pieces.firstIndex(of: [.operation])
        prefixCount = prefix.utf8.split(separator: dot).count
    }

    /// All subjects of the template.
    public var pattern: String { tokens.joined(separator: ".") }

    /// Whether a subject of the template tells the entity.
    public var tellsEntity: Bool { entityIndex != nil }

    /// Whether a subject of the template tells the operation.
    public var tellsOperation: Bool { operationIndex != nil }

    /// The subjects of these events; nil: subjects do not tell, and each event has to be looked at.
    public func subject(entity: String?, operation: String?) -> String? {
        // Markers and what is in quarantine stand on `{prefix}._slotstream.{operation}`, whatever the template is.
        let isOwn = entity.map { $0 == ReservedEntity.name } ?? operation.map { ReservedEntity.operations.contains($0) } ?? false
        guard !isOwn || hasShapeOfMarkers else { return nil }
        var tokens = tokens
        if let entity {
            guard let entityIndex else { return nil }
            tokens[entityIndex] = Self.token(entity)
        }
        if let operation {
            guard let operationIndex else { return nil }
            tokens[operationIndex] = Self.token(operation)
        }
        return tokens.joined(separator: ".")
    }

    /// The entity that a subject of the template tells; nil: none, or it is none of the template.
    public func entity(in subject: String) -> String? { value(at: entityIndex, in: subject) }

    /// The operation that a subject of the template tells; nil: none, or it is none of the template.
    public func operation(in subject: String) -> String? { value(at: operationIndex, in: subject) }

    /// The entity of a table for which no rule names another.
    public static func entity(ofTable table: String, prefixes: [String]) -> String {
        EntityNaming.entity(forTable: table, prefixes: prefixes)
    }

    private var hasShapeOfMarkers: Bool {
        tokens.count == prefixCount + 2 && entityIndex == prefixCount && operationIndex == prefixCount + 1
    }

    private static func token(_ value: String) -> String { String(decoding: EntityNaming.token(value), as: UTF8.self) }

    private func value(at index: Int?, in subject: String) -> String? {
        let found = subject.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard let index, found.count == tokens.count else { return nil }
        return EntityNaming.value(ofToken: Array(found[index]))
    }
}
