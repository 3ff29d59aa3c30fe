#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension BackfillMarker {
    /// Reads what `json()` wrote; nil: it is none, or a later version's.
    package init?(json: [UInt8]) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let marker = try? decoder.decode(BackfillMarker.self, from: Data(json)) else { return nil }
        self = marker
    }
}
