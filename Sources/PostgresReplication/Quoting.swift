/// `name` as SQL and the replication commands take an identifier: in double quotes, those inside doubled.
///
/// A replication command refuses (42601) an identifier with a double quote in it: its grammar has no way to write one.
/// Right for every name that PostgreSQL can hold. A NUL byte, which it cannot, stays; commands that contain one are refused.
public func quoteIdentifier(_ name: String) -> String {
    quoted(name, by: UInt8(ascii: "\""), doubling: [UInt8(ascii: "\"")])
}

/// `value` as SQL takes a string, whatever `standard_conforming_strings` says.
///
/// Not for replication commands: their grammar knows no `E'…'`. A NUL byte stays; commands that contain one are refused.
public func quoteLiteral(_ value: String) -> String {
    let backslash = UInt8(ascii: "\\")
    let quote = UInt8(ascii: "'")
    // The blank keeps the E from joining a word before it, as in libpq's PQescapeLiteral.
    let prefix = value.utf8.contains(backslash) ? " E" : ""
    return prefix + quoted(value, by: quote, doubling: [quote, backslash])
}

/// `value` as the replication commands take a string: quotes doubled, backslashes meaning themselves.
func quoteReplicationLiteral(_ value: String) -> String {
    quoted(value, by: UInt8(ascii: "'"), doubling: [UInt8(ascii: "'")])
}

/// Works on bytes: a combining character after a quote makes one `Character` of the two, which is not equal to the quote.
private func quoted(_ text: String, by quote: UInt8, doubling doubled: [UInt8]) -> String {
    var bytes: [UInt8] = [quote]
    for byte in text.utf8 {
        if doubled.contains(byte) { bytes.append(byte) }
        bytes.append(byte)
    }
    bytes.append(quote)
    return String(decoding: bytes, as: UTF8.self)
}
