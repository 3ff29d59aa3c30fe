import Capture

/// What decides which changes become events, and by which ordinals: part of the record, since what is stored is compared with what is decoded.
struct StreamOptions: Equatable, Sendable {
    /// Given to START_REPLICATION: they decide the ordinals.
    var replication: String
    /// Rules of ours that leave out changes: with others what is stored cannot be compared.
    var filters: String

    private static let separator = " exclude="

    /// As the record has it.
    var text: String { replication + Self.separator + filters }

    /// Whether a record's options are these. One of a version that did not write the filters is taken to have had them.
    func isEqual(to recorded: String) -> Bool { recorded == text || recorded == replication }

    /// Whether only filters are others than the recorded ones.
    func differsInFiltersOnly(from recorded: String) -> Bool { recorded.hasPrefix(replication + Self.separator) }
}

extension StreamerConfiguration {
    /// The configured ones.
    var streamOptions: StreamOptions {
        StreamOptions(
            replication: "publications=\(source.publication) messages=true origin=any streaming=off",
            filters:
                "\(capture.exclusions.sorted().joined(separator: ",")) message_prefixes=\(capture.messagePrefixes.sorted().joined(separator: ","))"
        )
    }
}
