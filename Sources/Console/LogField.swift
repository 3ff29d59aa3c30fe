import History
import Logging
import Pipeline

/// One value of a log line: numbers stay numbers where the line is an object.
indirect enum LogField: Encodable {
    case text(String)
    case integer(Int64)
    case unsigned(UInt64)
    case number(Double)
    case boolean(Bool)
    case list([LogField])
    case object([String: LogField])

    /// No text in it is longer than ``ShownText/byteLimit``.
    init(_ value: Logger.MetadataValue) {
        switch value {
        case .string(let text): self = .text(ShownText.line(text))
        case .stringConvertible(let value): self = Self.typed(value)
        case .array(let values): self = .list(values.map { LogField($0) })
        case .dictionary(let values): self = .object(values.mapValues { LogField($0) })
        }
    }

    private static func typed(_ value: any CustomStringConvertible & Sendable) -> LogField {
        switch value {
        case let value as Bool: return .boolean(value)
        case let value as any BinaryInteger:
            if let integer = Int64(exactly: value) { return .integer(integer) }
            if let unsigned = UInt64(exactly: value) { return .unsigned(unsigned) }
        case let value as Double where value.isFinite: return .number(value)
        default: break
        }
        return .text(ShownText.line("\(value)"))
    }

    /// As it stands in a line for people.
    var shown: String {
        switch self {
        case .text(let text): text
        case .integer(let value): "\(value)"
        case .unsigned(let value): "\(value)"
        case .number(let value): "\(value)"
        case .boolean(let value): "\(value)"
        case .list(let values): values.map(\.shown).joined(separator: "; ")
        case .object(let values): values.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.shown)" }.joined(separator: ", ")
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .integer(let value): try container.encode(value)
        case .unsigned(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .boolean(let value): try container.encode(value)
        case .list(let values): try container.encode(values)
        case .object(let values): try container.encode(values)
        }
    }
}
