package import Pipeline

/// How a process is, as far as `/livez`, `/readyz` and `/status` tell.
package protocol ServedStatus: Sendable {
    /// Its loops turn.
    var live: Bool { get }
    var ready: Bool { get }
    /// Why it is not live or not ready, one sentence each.
    var reasons: [String] { get }
    /// `active`, `standby`, …
    var roleName: String { get }
    /// All of it, as `/status` answers.
    func json() -> String
}

extension StreamerStatus: ServedStatus {
    package var roleName: String { role.rawValue }
}
