/// At most 500 bytes that somebody else wrote, for one line of a log: what is no UTF-8 becomes U+FFFD.
func printable(_ bytes: some Collection<UInt8>) -> String {
    printable(String(decoding: bytes.prefix(TransferRecord.excerptLimit), as: UTF8.self))
}

/// `text` on one line: with a space in place of each character that controls something or breaks lines, and without spaces at its ends.
func printable(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: result.append(" ")
        default: result.append(scalar)
        }
    }
    let trimmed = result.drop { $0 == " " }
    guard let last = trimmed.lastIndex(where: { $0 != " " }) else { return "" }
    return String(trimmed[...last])
}
