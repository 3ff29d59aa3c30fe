/// The stable name of what can be wrong, as the log's field `finding`, `setup` and `--json` have it. A name that was released never means anything else.
///
/// Its letter says how bad that is: E stops or will stop something, W endangers it, I informs.
package enum FindingID: String, Sendable, CaseIterable {
    // The PostgreSQL server.
    case walLevel = "E001"
    case noFreeSlot = "E002"
    case noFreeSender = "E003"
    case slotWALUnlimited = "W004"
    case slotWALShort = "W005"
    case waitsForTransaction = "W037"
    case faultyMinorVersion = "W045"
    case decodingSpills = "W046"
    case idleSlotTimeout = "W047"
    case standbyAway = "W048"
    /// Of minor versions of PostgreSQL since November 2026.
    case pluginForbidden = "E066"

    // The role and its connection.
    case noReplicationRight = "E006"
    case credentialsRefused = "E007"
    case openToEveryAddress = "W008"
    case connectionOpenToOthers = "W009"
    case encodingUnconvertible = "W010"
    case timeLimit = "E049"
    case roleTooStrong = "W050"
    case throughPooler = "E051"

    // The publication and its tables.
    case noTableMatches = "E010"
    case patternMatchesNothing = "E011"
    case noReplicaIdentity = "E012"
    case identityWithoutEntityID = "W013"
    case identityNothing = "W014"
    case publicationMissing = "E015"
    case publicationMadeAgain = "E016"
    case publicationEmpty = "E017"
    case tablesNotPublished = "W018"
    case publicationLeavesOut = "W019"
    case publishedByPartition = "W020"
    case neverPublished = "W021"
    case rowsTooWide = "W034"
    case anybodyEmits = "W035"
    case triggerEmits = "W036"
    case ruleNamesNothing = "W042"
    case rowsBeforeSlot = "I044"
    case castRunsCode = "W052"
    case namesEncoded = "W053"

    // The slot, and what it holds.
    case slotUnusable = "E022"
    case notFailoverSafe = "W038"
    case nobodyStreams = "W039"
    case walDiskFull = "W043"
    case otherSlotHoldsWAL = "W054"
    case replayWindow = "W055"
    /// Slot, record and stream cannot be joined, or a server refuses.
    case wouldStop = "E064"

    // NATS and the stream.
    case noRoom = "E023"
    case retentionShort = "W024"
    case consumerNearEviction = "W025"
    case consumerNeverRead = "W026"
    case jetStreamMissing = "E027"
    case natsPermissionMissing = "E028"
    case natsPermissionIncomplete = "W065"
    case subjectsTaken = "E029"
    case otherWriter = "E030"
    case othersMayPublish = "W031"
    case othersMayDelete = "W032"
    case recordLessSafe = "W033"
    case streamBreaksGuarantee = "E056"
    case duplicateWindow = "W057"
    case serverVersionFault = "W058"
    case clocksDiffer = "W059"
    /// Stream or consumer work, otherwise than configured.
    case differsFromConfiguration = "W063"
    case gathererStandsStill = "W067"

    // Here.
    case loopbackInPod = "W040"
    case secretOpenToOthers = "W041"
    case configurationWrong = "E060"
    case processLimit = "W062"

    /// How bad it is unless the one that is found says otherwise.
    package var severity: Finding.Severity {
        switch rawValue.first {
        case "E": .error
        case "W": .warning
        default: .note
        }
    }

    /// What a stop is an example of; nil: something that no check can find beforehand.
    static func of(_ reason: StopReason) -> FindingID? {
        switch reason {
        case .slotMissing, .slotAhead, .slotInvalidated, .slotUnconfirmed, .slotTwoPhase: .slotUnusable
        case .publicationLost: .publicationMadeAgain
        case .otherWriter, .foreignMessage: .otherWriter
        case .permissionNATS: .natsPermissionMissing
        case .historyDiverged, .otherCluster, .optionsChanged, .streamMissing, .streamRecreated, .streamPurged, .streamTailLost,
            .bucketMissing, .positionAheadOfWAL:
            .wouldStop
        case .holeFound, .poisonEvent, .permissionPostgres, .tls, .credentials, .configuration, .unexpected, .unreachable, .slotActive,
            .consumerMissing:
            nil
        }
    }
}
