extension Configuration {
    /// Finds what is wrong with the file's table of observers, given the keys as far as they are right, and where the file's values stand.
    package typealias ObserversCheck = (_ observers: ConfigurationTree?, _ values: Configuration, _ origin: ValueOrigin) -> [Complaint]

    /// Reads flags, environment and file, in this order of strength, and checks every value.
    ///
    /// Relative paths start at `workingDirectory`; a program passes its own, for libraries read key files from there.
    /// - Parameters:
    ///   - flags: What the command line sets, by the key's path (`source.slot`). A password in one is refused.
    ///   - configurationFile: A file that must exist; nil: `slotstream.toml` or else `fraiseql-observer.toml` where there is one.
    ///   - environment: The whole environment. Unknown names that begin with `SLOTSTREAM_` are errors.
    ///   - otherVariables: Names that begin with `SLOTSTREAM_` and are no settings.
    ///   - readFile: Reads a whole file, given a path that is absolute if `workingDirectory` is.
    ///   - isOpenToOthers: Whether every user of this machine can read the file at such a path.
    ///   - checking: What is wrong with the observers of the file; nil: whoever loads has nothing to do with them.
    /// - Throws: Everything that is wrong, at once.
    package static func load(
        flags: [String: String] = [:], configurationFile: String? = nil, environment: [String: String],
        workingDirectory: String, otherVariables: Set<String> = [],
        readFile: @escaping (String) -> FileContents = FileContents.read,
        isOpenToOthers: @escaping (String) -> Bool = FilePermissions.areOpenToOthers, checking observers: ObserversCheck? = nil
    ) throws(SettingsError) -> EffectiveConfiguration {
        var loader = ConfigurationLoader(
            flags: flags, environment: environment, workingDirectory: workingDirectory, readFile: readFile,
            isOpenToOthers: isOpenToOthers)
        return try loader.load(configurationFile: configurationFile, otherVariables: otherVariables, checking: observers)
    }
}
