/// The body of a gap marker, as consumers read it. LSNs are text, the time is RFC 3339.
struct GapMarker: Encodable {
    struct Gap: Encodable {
        var fromLsn: String
        var toLsn: String
        var reason: String
        var acceptedBy: String
    }

    var id: String
    var operation = "GAP"
    var timestamp: String
    var gap: Gap

    func json() -> [UInt8] { Array(ContractJSON.text(self).utf8) }
}
