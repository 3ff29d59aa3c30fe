/// A configuration, and where each of its values came from.
package struct EffectiveConfiguration: Sendable, Equatable {
    /// The values, checked.
    package let values: Configuration
    /// By the key's path; every key has one.
    package let origins: [String: ValueOrigin]
    /// The file that was read, as it was given or found; nil: none.
    package let file: String?
    /// FraiseQL's keys and tables in the file, accepted and not used: for one line of the log.
    package let ignoredKeys: [String]
    /// The file's table of observers, as it stands; nil: there is none.
    package let observers: ConfigurationTree?
    /// Files with secrets in them that every user of this machine can read: for a warning each.
    package let openSecrets: [OpenSecret]

    /// One line for each key, `key = value   # origin`: a file that gives the same values, were it not for the secrets, which are `***`.
    package var toml: String { ConfigurationKey.all.map(line).joined() }

    /// As ``toml``, with what each key means and what is allowed in comments above its line.
    package var explainedTOML: String {
        ConfigurationKey.all.map { key in "# \(key.meaning)\n# Allowed: \(key.allowed)\n\(line(key))" }.joined(separator: "\n")
    }

    private func line(_ key: ConfigurationKey) -> String {
        "\(key.path) = \(key.show(values).toml)   # \(origins[key.path] ?? .defaultValue)\n"
    }

    /// `{"schema":"slotstream.config/1","values":[{"key":…,"value":…,"origin":…}]}` on one line. Sizes in bytes, durations in seconds, secrets as `***`.
    package var json: String {
        let values = ConfigurationKey.all.map { key in
            "{\"key\":\(ShownValue.quoted(key.path)),\"value\":\(key.show(self.values).json),"
                + "\"origin\":\(ShownValue.quoted((origins[key.path] ?? .defaultValue).description))}"
        }
        return "{\"schema\":\"slotstream.config/1\",\"values\":[" + values.joined(separator: ",") + "]}"
    }
}
