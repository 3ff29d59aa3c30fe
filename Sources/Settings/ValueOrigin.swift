/// Where a value came from.
package enum ValueOrigin: Sendable, Equatable {
    /// Nobody set it.
    case defaultValue
    /// The command line.
    case flag
    /// The variable of this name.
    case environment(String)
    /// The configuration file, as its path was given or found; the line where it could be told.
    case file(String, line: Int?)
    /// The contents of the file at this path, which another key names.
    case contents(of: String)
}

extension ValueOrigin: CustomStringConvertible {
    /// `default`, `flag`, `env SLOTSTREAM_LOG_LEVEL`, `slotstream.toml:4`, `contents of /run/secrets/url`.
    package var description: String {
        switch self {
        case .defaultValue: "default"
        case .flag: "flag"
        case .environment(let name): "env \(name)"
        case .file(let path, let line?): "\(path):\(line)"
        case .file(let path, line: nil): path
        case .contents(let path): "contents of \(Redaction.path(path))"
        }
    }
}
