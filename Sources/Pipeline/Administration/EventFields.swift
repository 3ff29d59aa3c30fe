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
        /// FraiseQL's format.
        var event_type: String?
    }

    /// A CloudEvent around an event.
    private struct Envelope: Decodable {
        var data: Kind
    }

    private struct Object: Decodable {
        private enum NoKey: CodingKey {}

        init(from decoder: any Decoder) throws {
            // Nothing but an object has one.
            _ = try decoder.container(keyedBy: NoKey.self)
        }
    }

    /// Whether it is one JSON object.
    static func isObject(_ payload: [UInt8]) -> Bool {
        (try? JSONDecoder().decode(Object.self, from: Data(payload))) != nil
    }

    /// Entity and operation, in whichever format; nil if it is no event.
    static func kind(of payload: [UInt8]) -> (entity: String, operation: String)? {
        let decoder = JSONDecoder()
        let payload = Data(payload)
        guard var kind = try? decoder.decode(Kind.self, from: payload) else { return nil }
        if kind.operation == nil, kind.event_type == nil {
            guard let envelope = try? decoder.decode(Envelope.self, from: payload) else { return nil }
            kind = envelope.data
        }
        guard let operation = kind.operation ?? kind.event_type else { return nil }
        return (kind.entity_type ?? "", operation)
    }
}
