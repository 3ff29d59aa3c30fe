import ArgumentParser
import Console
import History
import Pipeline
import Settings

struct SetupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup", abstract: "Create what a first start needs: publication, stream, bucket, slot, consumer.",
        usage: "slotstream setup [<options>]",
        discussion: """
            `setup` can be run again at any time. `setup` adds missing tables to the publication, and changes no other existing \
            object. Rows from before the slot are not published.

            Example:
              slotstream setup --dry-run
              slotstream setup --print-sql | psql shop     # for a DBA
              slotstream setup --adopt-slot                # then: takes the DBA's slot
              slotstream setup --after-foreign             # behind FraiseQL's messages
              slotstream setup --print-nats-permissions    # for nats-server's configuration
            """)

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .customLong("adopt-slot"), help: "Adopt a slot that was made by hand.")
    var adoptsSlot = false

    @Flag(
        name: .customLong("allow-no-identity"),
        help: "Publish tables without replica identity too: their UPDATE and DELETE then fail in the application.")
    var allowsNoIdentity = false

    @Flag(
        name: .customLong("after-foreign"),
        help: "Begin behind the messages that another writer has stored in the stream. They stay there.")
    var startsAfterForeign = false

    @Flag(
        name: .customLong("dry-run"),
        help: "Show the steps, or the reason why setup would fail. Change nothing.")
    var isDryRun = false

    @Flag(name: .customLong("print-sql"), help: "Print the SQL for PostgreSQL's side, do nothing.")
    var printsSQL = false

    @Flag(
        name: .customLong("print-nats-permissions"),
        help: "Print the users with their rights for nats-server's configuration, do nothing.")
    var printsNATSPermissions = false

    func validate() throws {
        if printsSQL, printsNATSPermissions { throw ValidationError("give --print-sql or --print-nats-permissions, not both") }
    }

    func run() async throws {
        let configuration = try options.load().values.streamer
        if printsNATSPermissions { return Output.data(configuration.natsRights.block) }
        if printsSQL {
            for statement in try Setup.sql(configuration, allowsNoIdentity: allowsNoIdentity) { Output.data(statement + ";") }
            return
        }
        let outcome = try Setup.run(
            configuration,
            options: Setup.Options(
                adoptsSlot: adoptsSlot, startsAfterForeign: startsAfterForeign, isDryRun: isDryRun, allowsNoIdentity: allowsNoIdentity,
                failpoints: try .fromEnvironment()),
            onDoubt: Output.doubt, onSlotWait: Output.slotWait, onFailure: Output.failure)
        outcome.show(isDryRun: isDryRun)
    }
}

extension Setup.Outcome {
    /// Prints what was done, or would be, a line each.
    func show(isDryRun: Bool = false) {
        if created.isEmpty { Output.data("everything is there already") }
        for object in created { Output.data((isDryRun ? "would create: " : "created: ") + object) }
        for note in notes { Output.data("note: \(note.line)") }
    }
}
