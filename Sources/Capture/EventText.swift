/// The parts of an event's JSON that are the same for all events of a kind, in each format's words.
enum EventText {
    /// What follows the id and its quote is `head`; the quote is the head's first byte.
    static func head(_ format: CaptureConfiguration.Format, entity: String, operation: String) -> [UInt8] {
        switch format {
        case .slotstream, .cloudevents:
            Array("\",\"entity_type\":".utf8) + JSONText.string(entity) + Array(",\"operation\":".utf8)
                + JSONText.string(operation)
        case .fraiseql:
            Array("\",\"event_type\":\"\(fraiseQLType(of: operation))\",\"entity_type\":".utf8)
                + JSONText.string(entity)
        }
    }

    /// What follows the id in a CloudEvent, up to where `subject` may come; empty in the other formats.
    static func envelope(
        _ format: CaptureConfiguration.Format, identity: SourceIdentity, entity: String, operation: String
    ) -> [UInt8] {
        guard format == .cloudevents else { return [] }
        // A URI reference: the database's name is encoded as a subject's tokens are.
        let source =
            "/slotstream/\(identity.systemID)/"
            + String(decoding: EntityNaming.token(identity.databaseName), as: UTF8.self)
        return Array("\",\"source\":".utf8) + JSONText.string(source) + Array(",\"type\":".utf8)
            + JSONText.attribute("\(entity).\(operation)")
    }

    /// What closes an event, after `last` where the format has it. A logical message has neither schema nor table: nil.
    static func tail(
        _ format: CaptureConfiguration.Format, database: String, schema: String?, table: String?
    ) -> [UInt8] {
        if format == .fraiseql { return Array("}".utf8) }
        var tail = Array("},\"source\":".utf8) + source(database: database, schema: schema, table: table)
        tail += Array("}".utf8)
        if format == .cloudevents { tail.append(UInt8(ascii: "}")) }
        return tail
    }

    /// The object that `source` is.
    static func source(database: String, schema: String?, table: String?) -> [UInt8] {
        var source = Array("{\"database\":".utf8) + JSONText.string(database)
        if let schema { source += Array(",\"schema\":".utf8) + JSONText.string(schema) }
        if let table { source += Array(",\"table\":".utf8) + JSONText.string(table) }
        return source + Array("}".utf8)
    }

    /// FraiseQL's `EventType` knows three operations by name.
    private static func fraiseQLType(of operation: String) -> String {
        switch operation {
        case "INSERT", "UPDATE", "DELETE": operation
        default: "CUSTOM"
        }
    }
}

/// Text as JSON on cold paths: names and messages of our own.
enum JSONText {
    /// A JSON string with its quotes, escaped as PostgreSQL's `escape_json` does.
    static func string(_ text: String) -> [UInt8] {
        var buffer = OutputBuffer()
        var text = text
        // A Swift string is UTF-8 always: nothing to refuse.
        _ = text.withUTF8 { buffer.appendJSONString(UnsafeRawBufferPointer($0)) }
        return Array(buffer.bytes)
    }

    /// As `string`, but as CloudEvents lets an attribute be.
    static func attribute(_ text: String) -> [UInt8] {
        var buffer = OutputBuffer()
        string(text).withUnsafeBytes { buffer.appendAttribute($0) }
        return Array(buffer.bytes)
    }
}
