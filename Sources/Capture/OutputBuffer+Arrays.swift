extension OutputBuffer {
    /// PostgreSQL's own limit of dimensions (`MAXDIM`).
    private static let dimensionLimit = 6

    /// Appends a JSON array from PostgreSQL's array text: `{1,NULL,"a \"b\""}`, `[0:1]={…}`, nested braces for more dimensions.
    mutating func appendArray(
        _ text: UnsafeRawBufferPointer, of shape: ValueShape, delimiter: UInt8
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
                if let fault = appendElement(text, at: &index, of: shape, delimiter: delimiter) { return fault }
            }
        }
        return .malformed
    }

    private mutating func appendElement(
        _ text: UnsafeRawBufferPointer, at index: inout Int, of shape: ValueShape, delimiter: UInt8
    ) -> ValueFault? {
        guard text[index] == UInt8(ascii: "\"") else {
            let start = index
            while index < text.count, text[index] != delimiter, text[index] != UInt8(ascii: "}") { index += 1 }
            let element = UnsafeRawBufferPointer(rebasing: text[start..<index])
            if Self.isNull(element) {
                append("null")
                return nil
            }
            return appendScalar(element, as: shape)
        }
        index += 1
        let start = index
        var hasEscapes = false
        while index < text.count, text[index] != UInt8(ascii: "\"") {
            if text[index] == UInt8(ascii: "\\") {
                hasEscapes = true
                index += 1
            }
            index += 1
        }
        guard index < text.count else { return .malformed }
        let quoted = UnsafeRawBufferPointer(rebasing: text[start..<index])
        index += 1
        return hasEscapes ? appendUnescaped(quoted, as: shape) : appendScalar(quoted, as: shape)
    }

    /// Array text escapes with a backslash before `"` and `\`; the element proper is unescaped behind what is written so far, encoded from there, and moved down over it.
    private mutating func appendUnescaped(_ quoted: UnsafeRawBufferPointer, as shape: ValueShape) -> ValueFault? {
        let rawStart = count
        _ = reserve(quoted.count)
        var index = 0
        while index < quoted.count {
            if quoted[index] == UInt8(ascii: "\\"), index + 1 < quoted.count { index += 1 }
            append(quoted[index])
            index += 1
        }
        let rawCount = count - rawStart
        // The encoded form is at most six times as long: with the room reserved, nothing moves while the element is read from this buffer.
        _ = reserve(rawCount * 6 + 64)
        let raw = UnsafeRawBufferPointer(rebasing: bytes[rawStart..<rawStart + rawCount])
        if let fault = appendScalar(raw, as: shape) { return fault }
        let encodedCount = count - rawStart - rawCount
        removeBytes(at: rawStart, count: rawCount, keeping: encodedCount)
        return nil
    }

    private static func isNull(_ element: UnsafeRawBufferPointer) -> Bool {
        element.count == 4 && element[0] | 0x20 == UInt8(ascii: "n") && element[1] | 0x20 == UInt8(ascii: "u")
            && element[2] | 0x20 == UInt8(ascii: "l") && element[3] | 0x20 == UInt8(ascii: "l")
    }
}
