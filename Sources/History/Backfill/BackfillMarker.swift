/// The body of a marker of a backfill, as consumers read it. Its subject is `{prefix}._slotstream.BACKFILL`.
package struct BackfillMarker: Codable, Equatable {
    /// Behind the prefix.
    package static let subjectSuffix = "._slotstream.BACKFILL"
    /// Where the walk stands behind the marker that ends a table: behind every block that there can be.
    package static let endBlock = UInt32.max

    package struct Backfill: Codable, Equatable {
        package enum Event: String, Codable {
            /// The run begins: its tables follow.
            case begin
            /// A table without a key follows, whole: what was known of its rows before is no longer of use.
            case whole
            /// A table begins anew: its rows that came before come again.
            case restart
            /// A table is read: so many of its rows came.
            case table
            /// All tables are read.
            case end
            /// The run is given up.
            case cancelled
        }

        /// The run's number.
        package var id: String
        package var event: Event
        /// Of `begin`: the names under which their events are published.
        package var tables: [String]?
        package var condition: String?
        /// `schema.table` as the events name it.
        package var table: String?
        /// The partition's own name, where the table is one.
        package var partition: String?
        /// The table's OID, as it is in its rows' ids.
        package var oid: UInt32?
        package var pass: Int?
        /// Rows of the table in this pass, or of all tables.
        package var rows: UInt64?
        /// See ``BackfillDigest``.
        package var digest: String?
        package var why: String?

        package init(id: UInt64, _ event: Event) {
            self.id = String(id)
            self.event = event
        }
    }

    package var id: String
    package var operation = "BACKFILL"
    package var timestamp: String
    package var backfill: Backfill

    package init(id: String, timestamp: String, backfill: Backfill) {
        self.id = id
        self.timestamp = timestamp
        self.backfill = backfill
    }

    package func json() -> [UInt8] { Array(ContractJSON.text(self).utf8) }
}
