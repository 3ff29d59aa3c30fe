import Capture

/// What decides which changes become events, and by which ordinals: part of the record, since what is stored is compared with what is decoded.
package struct StreamOptions: Equatable, Sendable {
    /// Given to START_REPLICATION: they decide the ordinals.
    package var replication: String
    /// Rules of ours that leave out changes: with others what is stored cannot be compared.
    package var filters: String

    package init(replication: String, filters: String) {
        self.replication = replication
        self.filters = filters
    }

    private static let separator = " exclude="

    /// As the record has it.
    package var text: String { replication + Self.separator + filters }

    /// Whether a record's options are these. One of a version that did not write the filters is taken to have had them.
    package func isEqual(to recorded: String) -> Bool { recorded == text || recorded == replication }

    /// Whether only filters are others than the recorded ones.
    package func differsInFiltersOnly(from recorded: String) -> Bool { recorded.hasPrefix(replication + Self.separator) }
}
