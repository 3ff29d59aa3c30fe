/// The observers of a configuration file, as far as they could be read, and everything that is wrong with them.
package struct ObserverFile: Sendable {
    /// Those without a mistake, in the order in which they act.
    package let definitions: [ObserverDefinition]
    /// `[observers.runtime.email]`; nil: there is none, or it has a mistake.
    package let mailServer: MailServerSettings?
    /// All there are, in the file's order as far as TOML has one: observers by name, keys as they are read.
    package let mistakes: [ObserverMistake]
    /// What is right and reads otherwise than somebody may think.
    package let notes: [String]

    /// Reads the table `observers` of a file: `[observers.NAME]`, or FraiseQL's examples' `[[observers]]`.
    /// - Parameters:
    ///   - observers: The value of `observers`.
    ///   - environment: What `…_env` keys name.
    ///   - livePrefix: The prefix of the subjects that the streamer writes, where nobody else may publish.
    package static func read(_ observers: ObserverValue, environment: [String: String], livePrefix: String) -> ObserverFile {
        var reader = ObserverReader(source: .file, environment: environment, livePrefix: livePrefix)
        reader.readFile(observers)
        return ObserverFile(
            definitions: reader.sorted, mailServer: reader.mailServer, mistakes: reader.mistakes, notes: reader.notes)
    }
}
