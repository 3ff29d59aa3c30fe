import ArgumentParser
import Console
import Glibc
import History
import Pipeline
import PostgresReplication
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
            abstract: "List the server's logical slots.",
            usage: "slotstream slot list [<options>]",
            discussion: "HELD is the WAL that PostgreSQL keeps for the slot; ROOM is how much more max_slot_wal_keep_size allows.\n\nExample:\n  slotstream slot list --json")

        @OptionGroup var options: ConfigurationOptions

        @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.slot/1).")
        var isJSON = false

        func run() async throws {
            let slots = try SlotAdministration.list(try options.load().values.streamer)
            if isJSON {
                Output.data(SlotListing(slots).json())
                return
            }
            Output.data(slots.isEmpty ? "no logical slots" : SlotListing(slots).table(on: .ofOutput()))
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create the configured slot, with the stream and the first record.",
            usage: "slotstream slot create [<options>]",
            discussion: "The same as `slotstream setup`, because a slot without its record would be lost history.\n\nExample:\n  slotstream slot create")

        @OptionGroup var options: ConfigurationOptions

        func run() async throws {
            try Setup.run(
                try options.load().values.streamer, options: Setup.Options(failpoints: try .fromEnvironment()),
                onDoubt: Output.doubt, onSlotWait: Output.slotWait, onFailure: Output.failure
            ).show()
        }
    }

    struct Drop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Drop a slot. Changes that the slot has not sent are lost to the stream.",
            usage: "slotstream slot drop [<name>] [<options>]",
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
                Output.error("Drop slot \(name)? Changes that the slot has not sent can then no longer be read. Type the name of the slot: ")
                return readLine(strippingNewline: true) == name
            }
            guard isDropped else { throw ValidationError("not dropped") }
            Output.data("dropped: slot \(name)")
            let anchor = ReplayWindow.anchor(of: name)
            if try SlotAdministration.list(configuration).contains(where: { $0.name == anchor }) {
                Output.error("the anchor slot \(anchor) still holds WAL. Drop the anchor slot too: slotstream slot drop \(anchor)\n")
            }
        }
    }
    struct Advance: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Go on after lost history, on purpose.",
            usage: "slotstream slot advance [<options>]",
            discussion: """
                Use `advance` after a stop with exit code 73. `advance` makes a missing slot, stream and record, and stores a gap \
                marker on {prefix}._slotstream.GAP: consumers read there which changes are not in the stream. Without --accept-gap, \
                `advance` shows the gap, does nothing and exits 1. `advance` can be run again at any time.

                Example:
                  slotstream slot advance --accept-gap --by "ann, incident 42"
                """)

        @OptionGroup var options: ConfigurationOptions

        @Flag(name: .customLong("accept-gap"), help: "Accept the gap. This cannot be undone.")
        var isAccepted = false

        @Option(name: .customLong("by"), help: "Your name; the marker holds the name.")
        var acceptedBy = ProcessInfo.processInfo.environment["USER"] ?? "unknown"

        @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.slot_advance/1).")
        var isJSON = false

        func run() async throws {
            let configuration = try options.load().values.streamer
            let gap = try GapAcceptance.run(
                configuration, acceptance: Acceptance(acceptedBy: acceptedBy, isDryRun: !isAccepted),
                failpoints: try .fromEnvironment(), onDoubt: Output.doubt, onSlotWait: Output.slotWait)
            if isJSON {
                Output.data(GapListing(gap).json())
            } else {
                for line in lines(gap) { Output.data(line) }
            }
            guard gap == nil || isAccepted else {
                Output.error("nothing was done. Go on behind the gap: slotstream slot advance --accept-gap --by NAME\n")
                throw ExitCode(ExitStatus.findings.rawValue)
            }
        }

        private func lines(_ gap: GapAcceptance.Gap?) -> [String] {
            guard let gap else { return ["nothing is lost: the positions of slot and stream join, and nothing was done"] }
            var lines = gap.created.map { "\(isAccepted ? "created" : "would create"): \($0)" }
            lines += gap.notes.map { "note: \($0.line)" }
            lines.append("lost [\(gap.reason.rawValue)]: \(gap.what)")
            lines.append(
                gap.fromLSN == gap.toLSN
                    ? "no change is missing up to \(gap.toLSN)"
                    : "changes from \(gap.fromLSN) to \(gap.toLSN) are missing in the stream, at least in part")
            if let sequence = gap.sequence { lines.append("gap marker: \(gap.subject), sequence \(sequence)") }
            return lines
        }
    }
}
