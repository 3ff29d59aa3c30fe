import Foundation
import PGOutput
import Testing

/// What one PostgreSQL sent in one case: the content of `Vectors/<case>.<version>.hex`.
struct GoldenVector: Sendable, CustomTestStringConvertible {
    static let versions = [15, 16, 18]

    let caseName: String
    let version: Int

    /// The messages of each decoding session, in the order in which they were sent.
    let sessions: [[[UInt8]]]

    var testDescription: String { "\(caseName) on PostgreSQL \(version)" }

    /// Reads one file. Throws if it is not there, or not hexadecimal.
    init(caseName: String, version: Int) throws {
        self.caseName = caseName
        self.version = version
        let text = try String(contentsOf: Self.file("\(caseName).\(version).hex"), encoding: .utf8)
        var sessions: [[[UInt8]]] = []
        for line in text.split(separator: "\n") {
            if line == "# session" {
                sessions.append([])
            } else if !line.hasPrefix("#") {
                let last = try #require(sessions.indices.last, "a message before the first session")
                sessions[last].append(try Self.bytes(line))
            }
        }
        self.sessions = sessions
    }

    /// All vectors of all versions; every `.sql` file must have one for each version that it is for.
    static func all() throws -> [GoldenVector] {
        try versions.flatMap { try all(version: $0) }
    }

    /// As `all()`, of one version.
    static func all(version: Int) throws -> [GoldenVector] {
        try cases().filter { try oldestVersion(of: $0) <= version }.map {
            try GoldenVector(caseName: $0, version: version)
        }
    }

    /// The names of the `.sql` files, without the ending.
    static func cases() throws -> [String] {
        let names = try FileManager.default.contentsOfDirectory(atPath: file("").path)
            .filter { $0.hasSuffix(".sql") }.map { String($0.dropLast(4)) }.sorted()
        try #require(!names.isEmpty)
        return names
    }

    /// The transcript that a reader has checked: `<case>.<version>.txt` where that version differs, else `<case>.txt`.
    func expectedTranscript() throws -> String {
        let ownFile = Self.file("\(caseName).\(version).txt")
        let file = FileManager.default.fileExists(atPath: ownFile.path) ? ownFile : Self.file("\(caseName).txt")
        return try String(contentsOf: file, encoding: .utf8)
    }

    /// Decodes everything, each session on a fresh connection.
    func decoded() throws -> [[DecodedMessage]] {
        var decoder = PGOutputDecoder()
        return try sessions.map { messages in
            decoder.reset()
            return try messages.map { try DecodedMessage($0, by: &decoder) }
        }
    }

    private static func oldestVersion(of caseName: String) throws -> Int {
        let text = try String(contentsOf: file("\(caseName).sql"), encoding: .utf8)
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("-- servers: ") }) else { return 0 }
        return try #require(Int(line.dropFirst("-- servers: ".count).dropLast()))
    }

    private static func file(_ name: String) -> URL {
        Bundle.module.resourceURL.map { $0.appendingPathComponent("Vectors").appendingPathComponent(name) }
            ?? URL(fileURLWithPath: name)
    }

    private static func bytes(_ line: Substring) throws -> [UInt8] {
        let digits = Array(line)
        return try stride(from: 0, to: digits.count, by: 2).map { index in
            try #require(UInt8(String(digits[index..<min(index + 2, digits.count)]), radix: 16))
        }
    }
}

/// One message with all that the decoder says of it, and the decoder as it was before.
struct DecodedMessage {
    let bytes: [UInt8]
    let before: PGOutputDecoder
    let message: PGOutputMessage
    let newColumns: [TupleColumn]
    let oldColumns: [TupleColumn]

    init(_ bytes: [UInt8], by decoder: inout PGOutputDecoder) throws(PGOutputError) {
        self.bytes = bytes
        before = decoder
        message = try decoder.decode(bytes)
        newColumns = decoder.newColumns
        oldColumns = decoder.oldColumns
    }

    /// The bytes of a range as text.
    func text(_ range: ByteRange) -> String {
        String(decoding: bytes[range.start..<range.end], as: UTF8.self)
    }
}

extension PGOutputDecoder {
    /// Decodes an array's bytes.
    mutating func decode(_ bytes: [UInt8]) throws(PGOutputError) -> PGOutputMessage {
        try decode(bytes.span.bytes)
    }
}
