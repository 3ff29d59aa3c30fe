/// What a connection brought until its end, read as one HTTP/1.1 response.
///
/// Source: RFC 9112, sections 2.1, 4 and 6.3. Transfer codings are not read: a streamer never sends one.
enum HTTPAnswer: Equatable {
    /// A whole response.
    case complete(statusCode: Int, body: [UInt8])
    /// The beginning of one.
    case incomplete
    /// Something else; the text says what is wrong, without the bytes.
    case invalid(String)

    /// Reads all bytes that came before the connection's end.
    init(_ bytes: [UInt8]) {
        guard let head = Self.head(of: bytes) else {
            let start = Array("HTTP/1.".utf8)
            self = start.starts(with: bytes.prefix(start.count)) ? .incomplete : .invalid("not HTTP/1.1")
            return
        }
        let lines = head.text.split(separator: "\r\n", omittingEmptySubsequences: false)
        guard let statusCode = lines.first.flatMap(Self.statusCode) else {
            self = .invalid("no HTTP/1.1 status line")
            return
        }
        let body = bytes[head.byteCount...]
        var length = body.count
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            let value = parts.count < 2 ? "" : parts[1].drop { $0 == " " || $0 == "\t" }
            switch parts.first?.lowercased() {
            case "transfer-encoding":
                self = .invalid("a transfer coding")
                return
            case "content-length":
                guard let announced = Int(value), announced >= 0 else {
                    self = .invalid("no number as content-length")
                    return
                }
                length = announced
            default:
                break
            }
        }
        self =
            length > body.count
            ? .incomplete : .complete(statusCode: statusCode, body: Array(body.prefix(length)))
    }

    /// The lines before the empty one, and how many bytes they take with it; nil when there is no empty one.
    private static func head(of bytes: [UInt8]) -> (text: String, byteCount: Int)? {
        let end = Array("\r\n\r\n".utf8)
        var index = 0
        while index + end.count <= bytes.count {
            if bytes[index..<index + end.count].elementsEqual(end) {
                return (String(decoding: bytes[..<index], as: UTF8.self), index + end.count)
            }
            index += 1
        }
        return nil
    }

    private static func statusCode(_ line: Substring) -> Int? {
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), parts[1].utf8.count == 3 else { return nil }
        return Int(parts[1]).flatMap { (100...599).contains($0) ? $0 : nil }
    }
}
