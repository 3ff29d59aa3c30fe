import Glibc

/// Reads the files that hold passwords, tokens and seeds.
enum SecretFile {
    /// More than any of them holds.
    private static let byteCountLimit = 64 * 1_024

    /// The contents of the file at `path` less one trailing newline.
    /// - Throws: `.configuration`, with the path and the system's reason, never the contents.
    static func read(_ path: String) throws(JetStreamError) -> String {
        guard let file = fopen(path, "re") else {
            throw .configuration("\(path): \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: byteCountLimit + 1)
        let count = fread(&bytes, 1, bytes.count, file)
        guard ferror(file) == 0 else { throw .configuration("\(path): the file cannot be read") }
        guard count <= byteCountLimit else { throw .configuration("\(path): the file is longer than \(byteCountLimit) bytes") }
        var text = bytes[..<count]
        if text.last == UInt8(ascii: "\n") { text.removeLast() }
        if text.last == UInt8(ascii: "\r") { text.removeLast() }
        guard !text.contains(0), let secret = String(validating: text, as: UTF8.self) else {
            throw .configuration("\(path): the file is not a text")
        }
        return secret
    }
}
