import Capture

/// A text with places for an event's values: `{{ key }}` and `{{ data.key }}` for a field of the row, `{{ event.id }}` and its like for the event's own.
///
/// One blank on each side, as FraiseQL has it; its examples also write `data.` and `event.`, which it leaves as they are. A place that the event has nothing
/// for stays as it is written. What was put in is never looked through for further places.
package struct Template: Sendable, Equatable {
    /// What becomes of a value's text, by where it goes.
    package enum Escaping: Sendable {
        /// Nothing.
        case none
        /// A text is escaped as in a JSON string, without quotes of its own. In a string of the template so is the JSON of a list or an object: nothing of a row
        /// ever ends it. Elsewhere all but texts stands as it is: `"amount": {{ total }}`.
        case json
        /// One token of a subject, by the rules of Slotstream's own: bytes outside `A-Z a-z 0-9 _ -` as `%XX`, and `%empty`, `%null`, `%unknown`.
        case subjectToken
        /// `&`, `<` and `>` as Slack wants them written: a row does not call everybody of a channel.
        case slack
    }

    /// Of a definition's template.
    static let byteCountLimit = 64 * 1024
    /// Places of a definition's template: each can become as large as an event.
    static let placeLimit = 100

    /// As it was written.
    package let text: String
    /// Texts and places in turn, with a text at both ends.
    private let segments: [Segment]

    private enum Segment: Sendable, Equatable {
        case literal(String)
        /// `isInString`: whether it stands within a string, if the text is JSON.
        case place(key: String, isInString: Bool)
    }

    /// Any text is a template.
    package init(_ text: String) {
        self.text = text
        var segments: [Segment] = []
        var literal = ""
        var isInString = false
        var rest = Substring(text)
        while let place = Self.firstPlace(in: rest) {
            literal += rest[..<place.range.lowerBound]
            isInString = Self.endsInString(literal, beginsInString: isInString)
            segments.append(.literal(literal))
            segments.append(.place(key: String(place.key), isInString: isInString))
            literal = ""
            rest = rest[place.range.upperBound...]
        }
        segments.append(.literal(literal + rest))
        self.segments = segments
    }

    /// Whether it has no place at all.
    package var isFixed: Bool { placeCount == 0 }

    /// Places, each as often as it stands there.
    var placeCount: Int { segments.count / 2 }

    /// Its texts and places in order; nil: a place.
    var literals: [String?] {
        segments.map { if case .literal(let text) = $0 { text } else { nil } }
    }

    /// The text with an event's values.
    package func render(_ event: ObservedEvent, escaping: Escaping) -> String {
        var rendered = ""
        for segment in segments {
            switch segment {
            case .literal(let text): rendered += text
            case .place(let key, let isInString):
                if let value = Self.value(of: key, in: event) {
                    rendered += Self.shown(value, escaping, isInString: isInString)
                } else if escaping == .subjectToken {
                    rendered += String(decoding: EntityNaming.unknownToken, as: UTF8.self)
                } else {
                    rendered += "{{ \(key) }}"
                }
            }
        }
        return rendered
    }

    /// The text with an event's values as JSON: as it is where it is JSON then, else as a JSON string.
    package func renderJSON(_ event: ObservedEvent) -> [UInt8] {
        let rendered = render(event, escaping: .json)
        let bytes = Array(rendered.utf8)
        return JSONValue(bytes) == nil ? JSONText.string(rendered) : bytes
    }

    // MARK: - Values

    /// A value as JSON; nil: the event has none, and the place stays.
    private static func value(of key: String, in event: ObservedEvent) -> JSONValue? {
        // A column may be called so.
        if let value = event.field(key) { return value }
        if let name = key.removingPrefix("data.") { return event.field(name) }
        switch key {
        case "event.id": return JSONValue(JSONText.string(event.id))
        case "event.entity_type": return JSONValue(JSONText.string(event.entityType))
        case "event.event_type": return JSONValue(JSONText.string(event.eventType.rawValue))
        case "event.operation": return JSONValue(JSONText.string(event.operation))
        case "event.entity_id": return event.entityID.flatMap { JSONValue(JSONText.string($0)) }
        case "event.timestamp": return event.timestamp.flatMap { JSONValue(JSONText.string($0)) }
        case "event.data": return event.data
        default: return nil
        }
    }

    private static func shown(_ value: JSONValue, _ escaping: Escaping, isInString: Bool) -> String {
        let json = String(decoding: value.text, as: UTF8.self)
        let text = value.string
        switch escaping {
        case .none: return text ?? json
        case .json:
            // Written anew and not cut from the event: an escape that JSON allows is not one that every reader knows.
            guard let text = text ?? (isInString ? json : nil) else { return json }
            return String(decoding: JSONText.string(text).dropFirst().dropLast(), as: UTF8.self)
        case .subjectToken:
            if value.kind == .null { return String(decoding: EntityNaming.nullToken, as: UTF8.self) }
            return String(decoding: EntityNaming.token(text ?? json), as: UTF8.self)
        case .slack:
            return (text ?? json).replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
        }
    }

    // MARK: - Reading

    /// The first `{{ key }}`, the shortest that ends there.
    private static func firstPlace(in text: Substring) -> (range: Range<Substring.Index>, key: Substring)? {
        guard var opening = text.firstRange(of: "{{ "), let closing = text[opening.upperBound...].firstRange(of: " }}") else { return nil }
        while let later = text[opening.upperBound..<closing.lowerBound].firstRange(of: "{{ ") { opening = later }
        return (opening.lowerBound..<closing.upperBound, text[opening.upperBound..<closing.lowerBound])
    }

    /// Whether a piece of JSON ends within a string.
    private static func endsInString(_ text: String, beginsInString: Bool) -> Bool {
        var isInString = beginsInString
        var isEscaped = false
        for byte in text.utf8 {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = isInString
            } else if byte == UInt8(ascii: "\"") {
                isInString.toggle()
            }
        }
        return isInString
    }
}

extension String {
    /// What follows `prefix`; nil: it does not begin so.
    func removingPrefix(_ prefix: String) -> String? {
        utf8.starts(with: prefix.utf8) ? String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self) : nil
    }
}
