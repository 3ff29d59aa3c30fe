import ArgumentParser
import Console
import Glibc
import Pipeline
import Settings

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct DecodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode", abstract: "Show pgoutput messages, one readable line each.",
        usage: "slotstream decode [<file>] [<options>]",
        discussion: """
            Without a file, `decode` peeks at the slot: the slot does not move. Stop the streamer first. A file has hexadecimal \
            lines; - is standard input.

            Example:
              slotstream decode --limit 20
              slotstream decode messages.hex
            """)

    @OptionGroup var options: ConfigurationOptions

    @Argument(help: "A file with one message a line in hexadecimal digits; lines that begin with # are left out.")
    var file: String?

    @Option(help: "Changes to peek at, at most; transactions are shown whole.")
    var limit = 100

    func validate() throws {
        guard (1...Int(Int32.max)).contains(limit) else { throw ValidationError("--limit takes a number from 1 to \(Int32.max)") }
    }

    func run() async throws {
        var listing = MessageListing()
        if let file {
            for (index, line) in try Self.lines(of: file).enumerated() where !line.isEmpty && !line.hasPrefix("#") {
                do {
                    Output.data(try listing.line(line))
                } catch {
                    throw InputError(message: "\(file), line \(index + 1): \(error)")
                }
            }
            return
        }
        let messages = try MessageListing.peek(try options.load().values.streamer, limit: limit)
        if messages.isEmpty { Output.error("the slot has nothing to send\n") }
        for message in messages {
            Output.data("\(message.lsn) \(try listing.line(message.hexadecimal))")
        }
    }

    private static func lines(of file: String) throws -> [Substring] {
        let data: Data
        if file == "-" {
            var text = ""
            while let line = readLine(strippingNewline: false) { text += line }
            data = Data(text.utf8)
        } else {
            do {
                data = try Data(contentsOf: URL(filePath: file))
            } catch {
                throw InputError(message: "cannot read \(file): \(String(cString: strerror(errno)))")
            }
        }
        return String(decoding: data, as: UTF8.self).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    }
}
