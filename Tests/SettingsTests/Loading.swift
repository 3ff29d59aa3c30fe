import Settings

/// Loads a configuration from texts; nothing of this machine is read.
struct Loading {
    var flags: [String: String] = [:]
    var named: String?
    var environment: [String: String] = [:]
    var otherVariables: Set<String> = []
    /// By absolute path; the working directory is `/w`.
    var files: [String: String] = [:]

    /// With `text` as the file that is found by itself.
    init(
        _ text: String? = nil, flags: [String: String] = [:], environment: [String: String] = [:],
        files: [String: String] = [:]
    ) {
        self.flags = flags
        self.environment = environment
        self.files = files
        if let text { self.files["/w/slotstream.toml"] = text }
    }

    func load() throws(SettingsError) -> EffectiveConfiguration {
        let files = self.files
        return try Configuration.load(
            flags: flags, configurationFile: named, environment: environment, workingDirectory: "/w",
            otherVariables: otherVariables
        ) { path in
            guard let text = files[path] else { return .missing }
            return text == "forbidden" ? .unreadable("permission denied") : .bytes(Array(text.utf8))
        }
    }

    var values: Configuration {
        get throws { try load().values }
    }

    /// What is wrong, a line each; empty where nothing is.
    var complaints: [String] {
        do throws(SettingsError) {
            _ = try load()
            return []
        } catch {
            return error.complaints.map(\.description)
        }
    }
}
