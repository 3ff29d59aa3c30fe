import Foundation

/// Something the tests' own machinery could not do.
package struct TestFailure: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// Waits until `condition` holds, for `timeout` at most.
/// - Throws: ``TestFailure``, or what the condition throws.
package func eventually(_ what: String, timeout: Duration = .seconds(60), _ condition: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + timeout
    while try !condition() {
        guard ContinuousClock.now < deadline else { throw TestFailure("not in time: \(what)") }
        usleep(2_000)
    }
}

extension Duration {
    /// How long an answer may take that has to come: a machine with a slow disk and much else to do makes a stream in seconds.
    package static var patient: Duration { .seconds(30) }
}
