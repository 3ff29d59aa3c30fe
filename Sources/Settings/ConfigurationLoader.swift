import Capture

/// One run through all sources: takes each key's value from the strongest, and collects what is wrong instead of stopping at it.
struct ConfigurationLoader {
    private let flags: [String: String]
    private let environment: [String: String]
    private let workingDirectory: String
    private let readFile: (String) -> FileContents
    private let isOpenToOthers: (String) -> Bool

    private var configuration = Configuration()
    private var origins: [String: ValueOrigin] = [:]
    private var complaints: [Complaint] = []
    /// What the configuration file has, as it is written, for keys whose texts may hold a secret.
    private var fileTexts: [String: String] = [:]

    /// Takes the sources as `Configuration.load` has them.
    init(
        flags: [String: String], environment: [String: String], workingDirectory: String,
        readFile: @escaping (String) -> FileContents, isOpenToOthers: @escaping (String) -> Bool
    ) {
        self.flags = flags
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.readFile = readFile
        self.isOpenToOthers = isOpenToOthers
    }

    /// The files that are looked for when none is named, the first one found wins. The second is FraiseQL's.
    private static let fileNames = ["slotstream.toml", "fraiseql-observer.toml"]

    /// - Parameters:
    ///   - otherVariables: Variables with our prefix that are no settings.
    ///   - observers: What is wrong with the observers of the file.
    mutating func load(
        configurationFile: String?, otherVariables: Set<String>, checking observers: Configuration.ObserversCheck?
    ) throws(SettingsError) -> EffectiveConfiguration {
        let file = findFile(configurationFile)
        complaints += file?.complaints ?? []
        complainOfUnknownFlags()
        complaints += EnvironmentNames.complaints(environment, except: otherVariables)
        for key in ConfigurationKey.all { settle(key, file) }
        settleConnection()
        settleMaskKey()
        checkFiles()
        let checks = ConfigurationChecks(configuration: configuration, origins: origins, file: file)
        complaints += checks.complaints
        complaints += observers?(file?.observers, configuration, file.map { .file($0.path, line: nil) } ?? .defaultValue) ?? []
        guard complaints.isEmpty else { throw SettingsError(complaints, log: configuration.log) }
        return EffectiveConfiguration(
            values: configuration, origins: origins, file: file?.path, ignoredKeys: file?.ignoredKeys ?? [],
            observers: file?.observers, openSecrets: openSecrets(file))
    }

    private mutating func findFile(_ named: String?) -> ConfigurationFile? {
        for name in named.map({ [$0] }) ?? Self.fileNames {
            switch readFile(resolved(name)) {
            case .missing:
                if named != nil { complain(.file(name, line: nil), "", .fileMissing) }
            case .unreadable(let reason):
                complain(.file(name, line: nil), "", .fileUnreadable(reason))
                return nil
            case .bytes(let bytes):
                do {
                    return try ConfigurationFile(path: name, bytes: bytes)
                } catch {
                    complaints += error.complaints
                    return nil
                }
            }
        }
        return nil
    }

    private mutating func complainOfUnknownFlags() {
        for path in flags.keys.sorted() where ConfigurationKey.byPath[path] == nil {
            let nearest = NearestName.nearest(to: path, among: ConfigurationKey.all.map(\.path))
            complain(.flag, path, .unknownKey(nearest: nearest))
        }
    }

    /// Gives a key the value of its strongest source. What a weaker source says about it is not looked at, so an unset variable there is no error.
    private mutating func settle(_ key: ConfigurationKey, _ file: ConfigurationFile?) {
        let raw: RawValue
        if let flag = flags[key.path] {
            origins[key.path] = .flag
            if ConfigurationKey.redacted(flag, key.secrecy).contains(Redaction.hidden) {
                complain(.flag, key.path, .secretInFlag)
            }
            raw = .text(flag)
        } else if let name = key.variables.first(where: { environment[$0] != nil }), let value = environment[name] {
            origins[key.path] = .environment(name)
            raw = .text(value)
        } else if let file, let entry = file.entries[key.path] {
            let origin = ValueOrigin.file(file.path, line: entry.line)
            origins[key.path] = origin
            // In the environment it is not in the file.
            if key.secrecy != .open, let text = entry.value.string, !text.contains("${") { fileTexts[key.path] = text }
            do {
                raw = try entry.value.expanded(environment)
            } catch .unset(let name) {
                return complain(origin, key.path, .variableUnset(name))
            } catch {
                return complain(origin, key.path, .variableMalformed)
            }
        } else {
            origins[key.path] = .defaultValue
            return
        }
        apply(key, raw)
    }

    private mutating func apply(_ key: ConfigurationKey, _ raw: RawValue) {
        if let problem = key.apply(raw, &configuration) {
            complain(origins[key.path] ?? .defaultValue, key.path, problem)
        }
    }

    /// The connection string in a file's bytes.
    static func connectionString(_ bytes: [UInt8]) -> String {
        Shape<String>.trimmed(Substring(String(decoding: bytes, as: UTF8.self)))
    }

    /// Gives `source.url` its value where no key did: the file that `source.url_file` names, or `DATABASE_URL`.
    private mutating func settleConnection() {
        guard let key = ConfigurationKey.byPath["source.url"], configuration.source.url.value.isEmpty else { return }
        if let path = configuration.source.urlFile {
            // That it cannot be read is `checkFiles`'s to say.
            guard case .bytes(let bytes) = readFile(resolved(path)) else { return }
            origins[key.path] = .contents(of: path)
            apply(key, .text(Self.connectionString(bytes)))
        } else if origins[key.path] == .defaultValue, let name = key.fallbackVariable, let value = environment[name] {
            origins[key.path] = .environment(name)
            apply(key, .text(value))
        }
    }

    /// Reads the key of masks: it must not change under a streamer that runs.
    private mutating func settleMaskKey() {
        guard let path = configuration.events.maskKeyFile, case .bytes(var bytes) = readFile(resolved(path)) else {
            return
        }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        configuration.events.maskKey = SecretBytes(bytes)
    }

    /// Files are read again where they are used; here it shows whether that can work.
    private mutating func checkFiles() {
        for key in ConfigurationKey.all {
            guard let path = key.filePath(configuration) else { continue }
            let reason: String
            switch readFile(resolved(path)) {
            case .bytes(let bytes) where bytes.isEmpty: reason = "the file is empty"
            case .bytes: continue
            case .missing: reason = "no such file"
            case .unreadable(let why): reason = why
            }
            complain(
                origins[key.path] ?? .defaultValue, key.path,
                .keyFileUnreadable(path: Redaction.path(path), reason: reason))
        }
    }

    /// Files with secrets that every user of this machine can read: those that a key names, and the configuration file where a password stands in it.
    private func openSecrets(_ file: ConfigurationFile?) -> [OpenSecret] {
        let observers: [OpenSecret] =
            file.flatMap { file in
                (file.observers?.holdsSecret ?? false) && isOpenToOthers(resolved(file.path))
                    ? [OpenSecret(key: ConfigurationKey.observers, file: file.path)] : nil
            } ?? []
        return observers + ConfigurationKey.all.compactMap { key in
            let file: String
            if ConfigurationKey.secretFiles.contains(key.path), let path = key.filePath(configuration) {
                file = path
            } else if case .file(let path, _)? = origins[key.path], holdsSecret(key) {
                file = path
            } else {
                return nil
            }
            return isOpenToOthers(resolved(file)) ? OpenSecret(key: key.path, file: file) : nil
        }
    }

    /// Whether the file's own text of the key has a secret in it: a variable in it has its value elsewhere.
    private func holdsSecret(_ key: ConfigurationKey) -> Bool {
        guard let text = fileTexts[key.path] else { return false }
        return ConfigurationKey.redacted(text, key.secrecy) != text
    }

    private func resolved(_ path: String) -> String {
        path.hasPrefix("/") ? path : workingDirectory + "/" + path
    }

    private mutating func complain(_ origin: ValueOrigin, _ key: String, _ problem: Complaint.Problem) {
        complaints.append(Complaint(origin: origin, key: key, problem: problem))
    }
}
