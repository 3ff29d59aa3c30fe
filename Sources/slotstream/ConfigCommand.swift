import ArgumentParser
import Console
import Settings

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Show the effective configuration and where each value comes from.",
        usage: "slotstream config [<options>]",
        discussion: "Secrets are hidden. A wrong configuration exits 78, with all complaints.\n\nExample:\n  slotstream config --config slotstream.toml\n  slotstream config --explain")

    @OptionGroup var options: ConfigurationOptions

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.config/1).")
    var isJSON = false

    @Flag(name: .customLong("explain"), help: "Also show the meaning of each key and the allowed values.")
    var isExplained = false

    func validate() throws {
        if isJSON && isExplained { throw ValidationError("--json and --explain exclude each other") }
    }

    func run() async throws {
        let effective = try options.load()
        for secret in effective.openSecrets {
            Output.error("warning: every user of this machine can read \(secret.file) (\(secret.key)): chmod o= \(secret.file)\n")
        }
        Output.data(
            isJSON ? effective.json + "\n" : isExplained ? effective.explainedTOML : effective.toml, terminator: "")
    }
}
