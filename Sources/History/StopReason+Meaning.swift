extension StopReason {
    /// What happened, for somebody who meets the reason for the first time: the page on stops shows it.
    package var meaning: String {
        switch self {
        case .slotMissing: "The slot was dropped."
        case .slotAhead:
            "The slot is ahead of the stream. Another program advanced or recreated the slot, or JetStream lost the stream's end together with the record."
        case .slotInvalidated: "PostgreSQL gave the slot up. The error has PostgreSQL's cause."
        case .slotUnconfirmed: "The creation of the slot was never finished."
        case .slotTwoPhase:
            "The slot was created with two_phase. Such a slot sends rows before anybody knows whether the transaction commits."
        case .historyDiverged: "The server was restored or promoted without changes that the stream holds."
        case .otherCluster: "The server is another one than the server of the stream's events."
        case .optionsChanged:
            "source.publication, events.exclude or events.message_prefixes changed too early: the stream ends inside a transaction, or with events that PostgreSQL was not told of, or was not compared yet (after `kill -9`)."
        case .streamMissing: "The stream was deleted."
        case .streamRecreated: "The stream was deleted and made again."
        case .streamPurged: "The last acknowledged messages were deleted from the stream."
        case .streamTailLost: "JetStream lost acknowledged messages at the stream's end."
        case .bucketMissing: "The checkpoint record is gone, alone or with all of JetStream."
        case .positionAheadOfWAL: "The server was restored to a state that is older than the stream."
        case .otherWriter: "Another streamer took over the checkpoint record."
        case .foreignMessage:
            "The stream holds messages of another writer and no event of this slot. Or a command was to write behind another slot's messages."
        case .holeFound:
            "Another writer's message took the place of an event, and later events are stored behind the hole. The error names the missing events."
        case .poisonEvent:
            "An event cannot be published: the event is larger than nats-server's max_payload or the stream's max_msg_size, is not UTF-8, or is not valid for its subject or format. Or PostgreSQL cannot send a change. The error has the position. With events.on_poison = \"quarantine\" or \"reference\", only an event that is too large for any form stops the streamer."
        case .permissionPostgres: "PostgreSQL denies a right."
        case .permissionNATS: "NATS denies a subject. The error names the subject."
        case .tls: "TLS with one of the servers failed."
        case .credentials:
            "A server refuses the user, the password or the key, or asks for a password and there is none."
        case .configuration:
            "A setting, or an object on a server that a setting names, cannot be used. The error names both, and the steps."
        case .unexpected: "A bug, or an error that nobody foresaw."
        case .unreachable: "A server does not answer a command. `slotstream run` tries again instead of stopping."
        case .slotActive:
            "Another streamer holds the slot, or another setup is under way. `slotstream run` stands by instead of stopping."
        case .publicationLost:
            "The publication was dropped, renamed or made again, and rows were written meanwhile. PostgreSQL does not find the publication at their positions."
        case .consumerMissing:
            "The durable consumer of the observer worker was deleted, alone or with the stream."
        }
    }
}
