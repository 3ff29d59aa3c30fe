import Foundation
import PostgresReplication
import Testing

/// The error that `body` ends with; records an issue if it ends without.
func failure(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws(PostgresError) -> Void
) -> PostgresError? {
    do throws(PostgresError) {
        try body()
    } catch {
        return error
    }
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    return nil
}

/// Calls `condition` until it holds; records an issue if it does not within `limit`.
func eventually(
    _ what: String, within limit: Duration = .seconds(20), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () throws -> Bool
) rethrows {
    let deadline = ContinuousClock.now.advanced(by: limit)
    while try !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("did not come about in \(limit): \(what)", sourceLocation: sourceLocation)
            return
        }
        usleep(5000)
    }
}

/// A name that no other test uses.
func uniqueName(_ prefix: String) -> String {
    prefix + "_" + UUID().uuidString.filter(\.isHexDigit).lowercased().prefix(12)
}
