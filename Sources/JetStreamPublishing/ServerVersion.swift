/// A nats-server's version, comparable.
public struct ServerVersion: Sendable, Hashable, Comparable {
    /// The first that takes message ids in atomic batches.
    public static let atomicBatches = ServerVersion(2, 12, 1)
    /// The first that takes fast batches.
    public static let fastBatches = ServerVersion(2, 14, 0)

    public var major: Int
    public var minor: Int
    public var patch: Int

    public init(_ major: Int, _ minor: Int, _ patch: Int) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// Reads `2.12.1` or `2.15.0-RC.1`; nil for anything else.
    public init?(_ text: String) {
        let core = text.prefix { $0 != "-" && $0 != "+" }
        let numbers = core.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard numbers.count == 3, let major = numbers[0], let minor = numbers[1], let patch = numbers[2] else {
            return nil
        }
        self.init(major, minor, patch)
    }

    public static func < (lhs: ServerVersion, rhs: ServerVersion) -> Bool {
        (lhs.major, lhs.minor, lhs.patch) < (rhs.major, rhs.minor, rhs.patch)
    }
}
