/// The body of a gap marker, as consumers read it. LSNs are text, the time is RFC 3339.
package struct GapMarker: Encodable {
    package struct Gap: Encodable {
        package var fromLsn: String
        package var toLsn: String
        package var reason: String
        package var acceptedBy: String

        package init(fromLsn: String, toLsn: String, reason: String, acceptedBy: String) {
            self.fromLsn = fromLsn
            self.toLsn = toLsn
            self.reason = reason
            self.acceptedBy = acceptedBy
        }
    }

    package var id: String
    package var operation = "GAP"
    package var timestamp: String
    package var gap: Gap

    package init(id: String, timestamp: String, gap: Gap) {
        self.id = id
        self.timestamp = timestamp
        self.gap = gap
    }

    package func json() -> [UInt8] { Array(ContractJSON.text(self).utf8) }
}
