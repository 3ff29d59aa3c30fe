/// This machine: files and configuration.
extension Finding {
    /// A file with a secret that every user of this machine can read.
    package static func secretOpenToOthers(file: String, key: String) -> Finding {
        Finding(
            .secretOpenToOthers, file, "every user of this machine can read a secret", why: "The file of \(key) is open to others",
            paste: .command("chmod o= \(file)"))
    }

    /// The problems of a configuration, each a line.
    package static func configurationWrong(_ problems: [String]) -> Finding {
        Finding(
            .configurationWrong, "configuration", problems.joined(separator: "; "),
            fix: "Correct each problem. Then check the configuration: `slotstream config`")
    }
}
