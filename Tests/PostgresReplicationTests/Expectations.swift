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

/// A name that no other test uses.
func uniqueName(_ prefix: String) -> String {
    prefix + "_" + UUID().uuidString.filter(\.isHexDigit).lowercased().prefix(12)
}
