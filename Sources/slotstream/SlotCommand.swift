import ArgumentParser
import Glibc
import Pipeline
import Settings

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct SlotCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slot", abstract: "List, create, drop or advance replication slots.",
        discussion: "Example:\n  slotstream slot list",
        subcommands: [List.self, Create.self, Drop.self, Advance.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the server's logical slots.", discussion: "Example:\n  slotstream slot list --json")

        @OptionGroup var options: ConfigurationOptions

        @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.slot/1).")
        var isJSON = false

        func run() async throws {
            let slots = try SlotAdministration.list(try options.load().values.streamer)
            if isJSON {
                Output.data(SlotListing(slots).json())
                return
            }
            if slots.isEmpty { Output.data("no logical slots") }
            for slot in SlotListing(slots).slots { Output.data(slot.line) }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create the configured slot, with what must stand before it and its first record.",
            discussion: "The same as `slotstream setup`: a slot without its record would be lost history.\n\nExample:\n  slotstream slot create")

        @OptionGroup var options: ConfigurationOptions

        func run() async throws {
            try Setup.run(
                try options.load().values.streamer, options: Setup.Options(), onDoubt: Output.doubt, onSlotWait: Output.slotWait,
                onFailure: Output.failure
            ).show()
        }
    }

    struct Drop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Drop a slot: what it has not sent is lost to its stream.",
            discussion: "Asks first.\n\nExample:\n  slotstream slot drop fraiseql_events --yes")

        @OptionGroup var options: ConfigurationOptions

        @Argument(help: "The slot; the configured one if left out.")
        var name: String?

        @Flag(name: .customLong("yes"), help: "Do not ask.")
        var isConfirmed = false

        func run() async throws {
            let configuration = try options.load().values.streamer
            let name = name ?? configuration.source.slot
            let isDropped = try SlotAdministration.drop(name, configuration) { _ in
                if isConfirmed { return true }
                Output.error("Drop slot \(name)? Changes that it has not sent cannot be read afterwards. Type its name: ")
                return readLine(strippingNewline: true) == name
            }
            guard isDropped else { throw ValidationError("not dropped") }
            Output.data("dropped: slot \(name)")
        }
    }
    struct Advance: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Go on after lost history, on purpose.",
            discussion: """
                After a stop with exit code 73: makes slot, stream and record where they are missing, and stores a gap marker on \
                {prefix}._slotstream.GAP, so that consumers know as well that what was committed between its two positions is not in \
                the stream. Without --accept-gap it says what is lost, does nothing and exits with 1. Safe to run again.

                Example:
                  slotstream slot advance --accept-gap --by "ann, incident 42"
                """)

        @OptionGroup var options: ConfigurationOptions

        @Flag(name: .customLong("accept-gap"), help: "Take it upon you: it is not undone.")
        var isAccepted = false

        @Option(name: .customLong("by"), help: "Who does; stored in the marker.")
        var acceptedBy = ProcessInfo.processInfo.environment["USER"] ?? "unknown"

        @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.slot_advance/1).")
        var isJSON = false

        func run() async throws {
            let configuration = try options.load().values.streamer
            let gap = try GapAcceptance.run(
                configuration, acceptance: Acceptance(acceptedBy: acceptedBy, isDryRun: !isAccepted),
                onDoubt: Output.doubt, onSlotWait: Output.slotWait)
            if isJSON {
                Output.data(GapListing(gap).json())
            } else {
                for line in lines(gap) { Output.data(line) }
            }
            guard gap == nil || isAccepted else {
                Output.error("nothing was done: --accept-gap goes on over this gap\n")
                throw ExitCode(ExitStatus.findings.rawValue)
            }
        }

        private func lines(_ gap: GapAcceptance.Gap?) -> [String] {
            guard let gap else { return ["nothing is lost, by the positions of slot and stream: they join, and nothing was done"] }
            var lines = gap.created.map { "\(isAccepted ? "created" : "would create"): \($0)" }
            lines += gap.notes.map { "note: \($0)" }
            lines.append("lost [\(gap.reason.rawValue)]: \(gap.what)")
            lines.append(
                gap.fromLSN == gap.toLSN
                    ? "no change is missing up to \(gap.toLSN)"
                    : "not in the stream, at least in part: what was committed from \(gap.fromLSN) to \(gap.toLSN)")
            if let sequence = gap.sequence { lines.append("gap marker: \(gap.subject), sequence \(sequence)") }
            return lines
        }
    }
}
