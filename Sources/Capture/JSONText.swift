/// Text as JSON on cold paths: names and messages of our own.
package enum JSONText {
    /// A JSON string with its quotes, escaped as PostgreSQL's `escape_json` does.
    package static func string(_ text: String) -> [UInt8] {
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

    /// The object that an event's `source` is. A logical message has neither schema nor table.
    static func source(database: String, schema: String? = nil, table: String? = nil) -> [UInt8] {
        var source = Array("{\"database\":".utf8) + string(database)
        if let schema { source += Array(",\"schema\":".utf8) + string(schema) }
        if let table { source += Array(",\"table\":".utf8) + string(table) }
        return source + Array("}".utf8)
    }
}
