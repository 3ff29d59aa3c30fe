package import Capture

/// A call of a function in PostgreSQL: `SELECT function($1::jsonb)`.
package struct DatabaseAction: Sendable {
    /// The function's name, `["schema", "name"]` or `["name"]`, for quotes to be put around each part. A part begins with a letter or `_` and holds letters, digits,
    /// `_` and `$` only; the letters are small, as PostgreSQL makes them of a name without quotes, which is how FraiseQL calls it.
    package let function: [String]
    /// What the function gets beside the event; nil: JSON null.
    package let params: JSONValue?

    /// `{"event":…,"params":…}`. The event has FraiseQL's names for the kind and the row, `event_type` and `data`, and beside them all else that it tells.
    package func argument(for event: ObservedEvent) -> [UInt8] {
        var argument = Array("{\"event\":{\"event_type\":\"\(event.eventType.rawValue)\",\"data\":".utf8)
        argument += event.data.map { Array($0.text) } ?? Array("null".utf8)
        for member in event.members where !Self.replacedNames.contains(member.name) {
            argument.append(UInt8(ascii: ","))
            argument += JSONText.string(String(decoding: member.name, as: UTF8.self))
            argument.append(UInt8(ascii: ":"))
            argument += member.value.text
        }
        argument += Array("},\"params\":".utf8)
        argument += params.map { Array($0.text) } ?? Array("null".utf8)
        return argument + Array("}".utf8)
    }

    /// `entity` is the row in our format, and stands under `data`.
    private static let replacedNames: Set<[UInt8]> = Set(["event_type", "data", "entity"].map { Array($0.utf8) })
}
