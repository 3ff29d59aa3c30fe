#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What is read of a stored event's JSON, on cold paths.
enum EventFields {
    private struct Kind: Decodable {
        var entity_type: String?
        var operation: String?
    }

    /// Entity and operation; nil if it is no event.
    static func kind(of payload: [UInt8]) -> (entity: String, operation: String)? {
        guard let kind = try? JSONDecoder().decode(Kind.self, from: Data(payload)), let operation = kind.operation
        else { return nil }
        return (kind.entity_type ?? "", operation)
    }
}
