/// Streams that gather from others.
extension JetStreamConnection {
    /// Pages of the server's (256 streams) that are asked for, at most.
    private static let sourcePageLimit = 8

    /// The names of the streams of this account that source from `stream`, as far as the first pages of all streams show them.
    public func streamsSourcing(from stream: String, timeout: Duration = apiTimeout) throws(JetStreamError) -> [String] {
        let subject = "$JS.API.STREAM.LIST"
        var names: [String] = []
        var offset = 0
        for _ in 0..<Self.sourcePageLimit {
            let (page, _): (SourcePage, [UInt8]) = try call(
                subject, try Self.encode(PageRequest(offset: offset), operation: subject), timeout: timeout)
            let streams = page.streams ?? []
            // One of another account or domain has the name by chance.
            names += streams.filter { $0.config.sources?.contains { $0.name == stream && $0.external == nil } ?? false }.map(\.config.name)
            offset += streams.count
            if streams.isEmpty || offset >= page.total ?? 0 { break }
        }
        return names
    }

    private struct PageRequest: Encodable {
        var offset: Int
    }

    private struct SourcePage: Decodable {
        struct Listed: Decodable {
            struct Config: Decodable {
                struct Source: Decodable {
                    struct External: Decodable {}
                    var name: String
                    var external: External?
                }
                var name: String
                var sources: [Source]?
            }
            var config: Config
        }
        // null where there is none.
        var streams: [Listed]?
        var total: Int?
    }
}
