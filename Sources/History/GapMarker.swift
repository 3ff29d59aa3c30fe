#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The body of a gap marker, as consumers read it. LSNs are text, the time is RFC 3339.
package struct GapMarker: Codable {
    package struct Gap: Codable {
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

    /// Reads what `json()` wrote; nil: it is none.
    package init?(json: [UInt8]) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let marker = try? decoder.decode(GapMarker.self, from: Data(json)) else { return nil }
        self = marker
    }
}
