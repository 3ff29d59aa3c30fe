package import ArgumentParser
import Glibc
import Pipeline
package import Settings
import Threads

/// Where the configuration comes from: the options that every command has.
package struct ConfigurationOptions: ParsableArguments {
    @Option(name: .customLong("config"), help: ArgumentHelp("The configuration file.", valueName: "file"))
    package var file: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "Set one key for this run, such as source.slot=orders. Repeat the option for more keys. Never give a secret.", valueName: "key=value"))
    package var settings: [String] = []

    package init() {}

    package func validate() throws {
        for setting in settings where !setting.contains("=") {
            throw ValidationError("--set takes key=value, not \"\(setting)\"; for example --set source.slot=orders")
        }
    }

    /// Reads flags, environment and file.
    /// - Parameter checking: What is wrong with the file's observers, to be told with all else.
    package func load(checking observers: Configuration.ObserversCheck? = nil) throws -> EffectiveConfiguration {
        var flags: [String: String] = [:]
        for setting in settings {
            let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            flags[String(parts[0])] = String(parts[1])
        }
        return try Configuration.load(
            flags: flags, configurationFile: file, environment: Self.environment, workingDirectory: Self.workingDirectory,
            otherVariables: ["SLOTSTREAM_TOOLS", "SLOTSTREAM_COMMIT", Failpoints.variable, LongTime.variable], checking: observers)
    }

    /// The process's whole environment.
    package static var environment: [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
            entry += 1
        }
        return variables
    }

    private static var workingDirectory: String {
        guard let path = getcwd(nil, 0) else { return "." }
        defer { free(path) }
        return String(cString: path)
    }
}
