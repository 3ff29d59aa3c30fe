/// What writing a structured value may need besides its text, and what it leaves behind.
struct ValueContext {
    /// The casts of the row that is being written.
    var casts = CastMemory()
    /// A composite's text has another number of fields than the type is known to have: its text goes out, and is counted. Otherwise that is a fault, and the catalogue is asked first.
    var writesChangedCompositesAsText = false
    /// Values whose text went out because their type is not known (any more).
    var unknownTypeValueCount: UInt64 = 0
    /// Values whose text went out because their type's cast to json failed or is not called.
    var uncastValueCount: UInt64 = 0
}

/// Arrays, composites and the other texts that hold values in themselves.
extension OutputBuffer {
    /// A value of so many times the room that is left is too large, whatever a cast would make of it.
    private static let castTextFactor = 4
    /// PostgreSQL's own limit of dimensions (`MAXDIM`).
    private static let dimensionLimit = 6

    /// Appends the JSON of a value that PostgreSQL sent as text; nil when all is well. The depth of recursion is the form's.
    mutating func appendValue(
        _ text: UnsafeRawBufferPointer, as form: ValueForm, _ context: inout ValueContext
    ) -> ValueFault? {
        switch form {
        case .scalar(let shape): return appendScalar(text, as: shape)
        case .array(let element, let delimiter): return appendArray(text, of: element, delimiter: delimiter, &context)
        case .vector(let shape): return appendVector(text, of: shape)
        case .composite(let composite): return appendComposite(text, composite, &context)
        case .hstore: return appendHstore(text)
        case .cast(let typeOID): return appendCast(text, from: typeOID, &context)
        case .withheldCast:
            context.uncastValueCount += 1
            return appendJSONString(text) ? nil : .notUTF8
        case .unknown:
            context.unknownTypeValueCount += 1
            return appendJSONString(text) ? nil : .notUTF8
        }
    }

    // MARK: - Arrays

    /// A JSON array from PostgreSQL's array text: `{1,NULL,"a \"b\""}`, `[0:1]={…}`, nested braces for more dimensions.
    private mutating func appendArray(
        _ text: UnsafeRawBufferPointer, of element: ValueForm, delimiter: UInt8, _ context: inout ValueContext
    ) -> ValueFault? {
        var index = 0
        if text.count > 0, text[0] == UInt8(ascii: "[") {
            // Lower bounds that are not 1 stand before the elements; JSON has none.
            while index < text.count, text[index] != UInt8(ascii: "=") { index += 1 }
            index += 1
        }
        var depth = 0
        var isElementDue = false
        while index < text.count {
            guard !isOverflowing else { return .tooLarge }
            let byte = text[index]
            switch byte {
            case UInt8(ascii: "{"):
                guard depth < Self.dimensionLimit, depth == 0 || isElementDue else { return .malformed }
                depth += 1
                isElementDue = true
                append(UInt8(ascii: "["))
                index += 1
            case UInt8(ascii: "}"):
                // `{}` is the one place where an element may be due and none comes; PostgreSQL never writes `{1,}`.
                guard depth > 0, !isElementDue || text[index - 1] == UInt8(ascii: "{") else { return .malformed }
                depth -= 1
                isElementDue = false
                append(UInt8(ascii: "]"))
                index += 1
                if depth == 0 { return index == text.count ? nil : .malformed }
            case delimiter:
                guard depth > 0, !isElementDue else { return .malformed }
                isElementDue = true
                append(UInt8(ascii: ","))
                index += 1
            default:
                guard depth > 0, isElementDue else { return .malformed }
                isElementDue = false
                if let fault = appendElement(text, at: &index, of: element, delimiter: delimiter, &context) {
                    return fault
                }
            }
        }
        return .malformed
    }

    private mutating func appendElement(
        _ text: UnsafeRawBufferPointer, at index: inout Int, of form: ValueForm, delimiter: UInt8,
        _ context: inout ValueContext
    ) -> ValueFault? {
        if text[index] == UInt8(ascii: "\"") {
            return appendQuoted(text, at: &index, .backslash, as: form, &context)
        }
        let start = index
        while index < text.count, text[index] != delimiter, text[index] != UInt8(ascii: "}") { index += 1 }
        let element = UnsafeRawBufferPointer(rebasing: text[start..<index])
        if Self.isNull(element) {
            append("null")
            return nil
        }
        return appendValue(element, as: form, &context)
    }

    private static func isNull(_ element: UnsafeRawBufferPointer) -> Bool {
        element.count == 4 && element[0] | 0x20 == UInt8(ascii: "n") && element[1] | 0x20 == UInt8(ascii: "u")
            && element[2] | 0x20 == UInt8(ascii: "l") && element[3] | 0x20 == UInt8(ascii: "l")
    }

    /// `1 2 3` → `[1,2,3]`.
    private mutating func appendVector(_ text: UnsafeRawBufferPointer, of shape: ValueShape) -> ValueFault? {
        append(UInt8(ascii: "["))
        var index = 0
        while index < text.count {
            guard !isOverflowing else { return .tooLarge }
            if index > 0 { append(UInt8(ascii: ",")) }
            let start = index
            while index < text.count, text[index] != UInt8(ascii: " ") { index += 1 }
            guard index > start else { return .malformed }
            if let fault = appendScalar(UnsafeRawBufferPointer(rebasing: text[start..<index]), as: shape) {
                return fault
            }
            if index < text.count {
                index += 1
                guard index < text.count else { return .malformed }
            }
        }
        append(UInt8(ascii: "]"))
        return nil
    }

    // MARK: - Composites

    /// A JSON object from PostgreSQL's record text: `(1,,"a ""b""")`. Nothing between two commas is NULL.
    private mutating func appendComposite(
        _ text: UnsafeRawBufferPointer, _ composite: CompositeForm, _ context: inout ValueContext
    ) -> ValueFault? {
        guard let fieldCount = Self.fieldCount(ofRecord: text) else { return .malformed }
        // `()` has no field, or one that is NULL.
        let isEmpty = composite.fields.isEmpty && text.count == 2
        guard fieldCount == composite.fields.count || isEmpty else {
            guard context.writesChangedCompositesAsText else { return .compositeChanged }
            context.unknownTypeValueCount += 1
            return appendJSONString(text) ? nil : .notUTF8
        }
        append(UInt8(ascii: "{"))
        var index = 1
        for place in composite.fields.indices {
            if place > 0 {
                append(UInt8(ascii: ","))
                index += 1
            }
            append(composite.fields[place].key)
            if let fault = appendField(text, at: &index, as: composite.fields[place].form, &context) { return fault }
        }
        append(UInt8(ascii: "}"))
        return nil
    }

    private mutating func appendField(
        _ text: UnsafeRawBufferPointer, at index: inout Int, as form: ValueForm, _ context: inout ValueContext
    ) -> ValueFault? {
        if text[index] == UInt8(ascii: "\"") { return appendQuoted(text, at: &index, .doubled, as: form, &context) }
        let start = index
        while text[index] != UInt8(ascii: ","), index < text.count - 1 { index += 1 }
        if index == start {
            append("null")
            return nil
        }
        return appendValue(UnsafeRawBufferPointer(rebasing: text[start..<index]), as: form, &context)
    }

    /// How many fields a record's text has; nil if it is none. What `appendField` relies on holds then: quotes are closed, a comma or the last parenthesis follows each field.
    private static func fieldCount(ofRecord text: UnsafeRawBufferPointer) -> Int? {
        guard text.count >= 2, text[0] == UInt8(ascii: "("), text[text.count - 1] == UInt8(ascii: ")") else {
            return nil
        }
        var count = 1
        var index = 1
        while true {
            if text[index] == UInt8(ascii: "\"") {
                guard quotedText(in: text, at: &index, .doubled) != nil, index < text.count else { return nil }
            } else {
                while text[index] != UInt8(ascii: ","), index < text.count - 1 { index += 1 }
            }
            if index == text.count - 1 { return count }
            guard text[index] == UInt8(ascii: ",") else { return nil }
            count += 1
            index += 1
        }
    }

    // MARK: - Casts

    /// `"a"=>"1", "b"=>NULL` → `{"a": "1", "b": null}`, as hstore's own `hstore_to_json` writes it.
    private mutating func appendHstore(_ text: UnsafeRawBufferPointer) -> ValueFault? {
        append(UInt8(ascii: "{"))
        var context = ValueContext()
        var index = 0
        while index < text.count {
            guard !isOverflowing else { return .tooLarge }
            guard text[index] == UInt8(ascii: "\"") else { return .malformed }
            if let fault = appendQuoted(text, at: &index, .backslash, as: .scalar(.text), &context) { return fault }
            guard index + 2 < text.count, text[index] == UInt8(ascii: "="), text[index + 1] == UInt8(ascii: ">")
            else { return .malformed }
            index += 2
            append(": ")
            if text[index] == UInt8(ascii: "\"") {
                if let fault = appendQuoted(text, at: &index, .backslash, as: .scalar(.text), &context) { return fault }
            } else {
                guard index + 4 <= text.count, Self.isNull(UnsafeRawBufferPointer(rebasing: text[index..<index + 4]))
                else { return .malformed }
                append("null")
                index += 4
            }
            if index == text.count { break }
            guard index + 2 < text.count, text[index] == UInt8(ascii: ","), text[index + 1] == UInt8(ascii: " ")
            else { return .malformed }
            append(", ")
            index += 2
        }
        append(UInt8(ascii: "}"))
        return nil
    }

    private mutating func appendCast(
        _ text: UnsafeRawBufferPointer, from typeOID: UInt32, _ context: inout ValueContext
    ) -> ValueFault? {
        // What the cast makes of it may be shorter, and has to be asked for; how much is asked has a limit too.
        guard text.count / Self.castTextFactor <= room else { return .tooLarge }
        guard UTF8Validation.isValid(text) else { return .notUTF8 }
        guard !context.casts.isFull else { return .castsNeeded }
        switch context.casts.answer(to: CastRequest(typeOID: typeOID, text: String(decoding: text, as: UTF8.self))) {
        // Nothing stands for it: what is too large without it is too large.
        case nil: return nil
        case .json(let json): append(Array(json.utf8))
        case .unknown:
            context.unknownTypeValueCount += 1
            return appendJSONString(text) ? nil : .notUTF8
        case .failed:
            context.uncastValueCount += 1
            return appendJSONString(text) ? nil : .notUTF8
        }
        return nil
    }

    // MARK: - Quoted parts

    /// How a quote or a backslash within quotes is written.
    private enum Escaping {
        /// Arrays and hstore: a backslash before it.
        case backslash
        /// Records: the same byte twice.
        case doubled
    }

    /// A part of a text that stands in double quotes.
    private struct QuotedText {
        /// What stands between the quotes.
        var range: Range<Int>
        var hasEscapes: Bool
    }

    /// Reads the part that begins with the quote at `index`, which is behind it then; nil if it does not end.
    private static func quotedText(
        in text: UnsafeRawBufferPointer, at index: inout Int, _ escaping: Escaping
    ) -> QuotedText? {
        index += 1
        let start = index
        var hasEscapes = false
        while index < text.count {
            let byte = text[index]
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                index += 2
            } else if byte == UInt8(ascii: "\"") {
                guard escaping == .doubled, index + 1 < text.count, text[index + 1] == byte else {
                    index += 1
                    return QuotedText(range: start..<index - 1, hasEscapes: hasEscapes)
                }
                hasEscapes = true
                index += 2
            } else {
                index += 1
            }
        }
        return nil
    }

    private mutating func appendQuoted(
        _ text: UnsafeRawBufferPointer, at index: inout Int, _ escaping: Escaping, as form: ValueForm,
        _ context: inout ValueContext
    ) -> ValueFault? {
        guard let part = Self.quotedText(in: text, at: &index, escaping) else { return .malformed }
        let quoted = UnsafeRawBufferPointer(rebasing: text[part.range])
        guard part.hasEscapes else { return appendValue(quoted, as: form, &context) }
        // Each level of quotes doubles a text at most: if this much is too large, so is what it stands for.
        guard quoted.count <= room || quoted.count >> (form.depth + 1) <= room else { return .tooLarge }
        // On the stack while it is short.
        return withUnsafeTemporaryAllocation(byteCount: quoted.count, alignment: 1) { plain in
            var byteCount = 0
            var place = 0
            while place < quoted.count {
                // Either way the byte before it goes; a quote can only be there as the first of two.
                let isEscape = quoted[place] == UInt8(ascii: "\\") || quoted[place] == UInt8(ascii: "\"")
                if isEscape, place + 1 < quoted.count { place += 1 }
                plain[byteCount] = quoted[place]
                byteCount += 1
                place += 1
            }
            return appendValue(UnsafeRawBufferPointer(rebasing: plain[..<byteCount]), as: form, &context)
        }
    }
}
