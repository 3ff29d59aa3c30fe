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
        commandName: "slot", abstract: "List, create or drop replication slots.",
        discussion: "Example:\n  slotstream slot list",
        subcommands: [List.self, Create.self, Drop.self])

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
            try Setup.run(try options.load().values.streamer, options: Setup.Options()).show()
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
            if !isConfirmed {
                Output.error("Drop slot \(name)? Changes that it has not sent cannot be read afterwards. Type its name: ")
                guard readLine(strippingNewline: true) == name else {
                    throw ValidationError("not dropped")
                }
            }
            try SlotAdministration.drop(name, configuration)
            Output.data("dropped: slot \(name)")
        }
    }
}
