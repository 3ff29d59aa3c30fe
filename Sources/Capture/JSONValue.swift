/// A JSON value as it stands in the text that it was read from: for whoever hands parts of a stored event on. Nothing of it is changed, numbers least of all.
package struct JSONValue: Sendable, Equatable {
    /// What a value is.
    package enum Kind: Sendable {
        /// `{…}`
        case object
        /// `[…]`
        case array
        /// `"…"`
        case string
        /// A number, of any size and precision.
        case number
        /// `true` or `false`
        case boolean
        /// `null`
        case null
    }

    /// The value's own bytes; valid JSON, and so UTF-8.
    package let text: ArraySlice<UInt8>

    /// However deep it nests.
    /// - Returns: nil: the text is not one JSON value.
    package init?(_ text: [UInt8]) {
        guard let range = text.withUnsafeBytes({ JSONObjectScanner.value(of: $0) }) else { return nil }
        self.text = text[range]
    }

    /// A part of a text that was checked.
    fileprivate init(checked text: ArraySlice<UInt8>) { self.text = text }

    /// What it is, told by its first byte.
    package var kind: Kind {
        switch text.first {
        case UInt8(ascii: "{"): .object
        case UInt8(ascii: "["): .array
        case UInt8(ascii: "\""): .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): .boolean
        case UInt8(ascii: "n"): .null
        default: .number
        }
    }

    /// The text that a string stands for; nil of anything else.
    package var string: String? {
        text.withUnsafeBytes { JSONObjectScanner.string($0, 0..<$0.count) }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// An array's elements; nil of anything else.
    package var elements: [JSONValue]? {
        text.withUnsafeBytes { JSONObjectScanner.elements(of: $0) }?.map(part)
    }

    /// An object's members; nil of anything else.
    package var object: JSONObject? {
        let members = text.withUnsafeBytes { try? JSONObjectScanner.members(of: $0, depthLimit: .max) }
        return members.map { members in JSONObject(members.map { (name: $0.key, value: part($0.valueRange)) }) }
    }

    private func part(_ range: Range<Int>) -> JSONValue {
        JSONValue(checked: text[text.startIndex + range.lowerBound..<text.startIndex + range.upperBound])
    }
}

/// The members of a JSON object in their order, each value as it stands.
package struct JSONObject: Sendable {
    /// Names are decoded. Bytes and not a `String`: two spellings of one name in Unicode are two columns to PostgreSQL.
    package let members: [(name: [UInt8], value: JSONValue)]

    fileprivate init(_ members: [(name: [UInt8], value: JSONValue)]) { self.members = members }

    /// The member of that name; of several the last, as nearly every reader of JSON has it.
    package subscript(_ name: String) -> JSONValue? {
        members.last { $0.name.elementsEqual(name.utf8) }?.value
    }
}
