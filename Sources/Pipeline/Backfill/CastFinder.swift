import Capture
import PGOutput

/// Finds the values of a table's rows whose types are cast to json by code in the database.
struct CastFinder: ~Copyable {
    private var encoder: ReadEncoder
    private let table: ReadEncoder.Table

    /// - Returns: nil: the table has no such values.
    init?(_ relation: Relation, _ description: TableDescription, _ session: BackfillReader.Session) throws(CaptureError) {
        encoder = try ReadEncoder(
            configuration: session.configuration.capture, functions: session.configuration.captureFunctions, identity: session.identity, payloadLimit: .max / 4)
        table = encoder.table(relation, description, operation: "READ") { _ in 0 }
        guard table.mayNeedCasts else { return nil }
    }

    mutating func requests(of index: Int, in rows: ReadRows) -> [CastRequest] { encoder.requests(of: index, in: rows, table) }
}
