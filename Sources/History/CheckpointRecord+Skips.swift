package import Capture

/// What somebody has chosen to pass over, kept with the position: a change that is decoded again has to be passed over again.
extension CheckpointRecord {
    /// One change of those.
    package struct Skip: Codable, Equatable, Sendable {
        /// The message id of the event that it would have been.
        var id: String
        /// See ``AcceptedSkip/random``.
        var random: UInt32
        var acceptedBy: String
        var acceptedAt: String

        init(_ skip: AcceptedSkip) {
            id = skip.id.description
            random = skip.random
            acceptedBy = skip.acceptedBy
            acceptedAt = skip.acceptedAt
        }
    }

    /// Changes that may be decoded again, and are kept, at most: the record is one message. Whoever has more wants a quarantine.
    package static let skipLimit = 100

    /// All that is kept; one with an id that nobody of ours wrote is none.
    package var acceptedSkips: [AcceptedSkip] {
        (skips ?? []).compactMap { skip in
            MessageID(skip.id).map {
                AcceptedSkip(id: $0, random: skip.random, acceptedBy: skip.acceptedBy, acceptedAt: skip.acceptedAt)
            }
        }
    }

    /// Whether a marker stands, or will stand, in the place of this change's event.
    package func hasSkip(of id: MessageID) -> Bool { acceptedSkips.contains { $0.isOf(id) } }

    /// Keeps one more; what is stored and confirmed, and not the stream's last, is not decoded again.
    /// - Returns: Whether there was room.
    package mutating func add(_ skip: AcceptedSkip) -> Bool {
        let last = lastMessageID?.position
        let kept = acceptedSkips.filter { old in
            old.id.position.commitLSN >= confirmedLSN || last.map { old.id.position >= $0 } ?? true
        }
        guard kept.count < Self.skipLimit else { return false }
        skips = (kept + [skip]).map(Skip.init)
        return true
    }

    /// Whether the stream holds the change's event, or what stands in its place.
    package func hasStored(_ id: MessageID) -> Bool { lastMessageID.map { $0.position >= id.position } ?? false }
}
