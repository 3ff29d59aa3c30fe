import History
import JetStreamPublishing
import PostgresReplication
import Testing

@Suite struct TroubleTellingTests {
    @Test func eachTroubleIsNewsOnceWhateverItsWords() {
        var telling = TroubleTelling()
        let troubles: [(error: StreamerError, isNews: Bool)] = [
            (.jetStream(.notConnected("No server available for connection")), true),
            (.jetStream(.notConnected("Timeout")), false),
            (.postgres(.connectionFailed(message: "refused", sqlState: nil)), true),
            (.postgres(.connectionFailed(message: "starting up", sqlState: "57P03")), true),
            (.jetStream(.notConnected("No server available for connection")), false),
        ]
        for (error, isNews) in troubles {
            let isTold = telling.isNews(error)
            #expect(isTold == isNews, "\(error)")
        }
    }

    @Test(arguments: [
        (StreamerError.postgres(.connectionFailed(message: "m", sqlState: nil)), "unreachable"),
        (.postgres(.connectionFailed(message: "m", sqlState: "53300")), "too_many_connections"),
        (.postgres(.connectionFailed(message: "m", sqlState: "57P03")), "server_unavailable"),
        (.postgres(.connectionFailed(message: "m", sqlState: "28P01")), "credentials"),
        (.postgres(.connectionLost(message: "m")), "connection_lost"),
        (.postgres(.timedOut(command: "c")), "timed_out"),
        (.jetStream(.notConnected("m")), "unreachable"),
        (.jetStream(.noResponders(operation: "o")), "no_responders"),
        (.jetStream(.api(code: 503, errCode: 10_077, description: "maximum bytes exceeded", operation: "o")), "storage_full"),
        (.jetStream(.api(code: 400, errCode: 10_054, description: "d", operation: "o")), "message_too_large"),
        (.jetStream(.api(code: 503, errCode: 10_008, description: "d", operation: "o")), "jetstream_error"),
        (.serverShuttingDown, "server_unavailable"),
        (.walHeldUp(slot: "s", status: "lost"), "wal_held_up"),
        (.streamMoved("m"), "stream_moved"),
        (.checkpointConflict("m"), "record_changed"),
        (.stop(.slotMissing, what: "w", remedy: "r"), "slot_missing"),
    ])
    func whatIsTriedAgainHasAReasonOfItsOwn(_ error: StreamerError, _ reason: String) {
        #expect(RetryReason.of(error) == reason)
    }

    @Test(arguments: [
        (10_077, EventFailure.storageFull), (10_002, .storageFull), (10_023, .storageFull), (10_054, .messageTooLarge),
        (10_109, .refused), (10_071, nil), (10_070, nil), (10_164, nil), (0, nil),
    ])
    func aRefusalIsTheEventsFailureUnlessItIsTheChains(_ errCode: Int, _ failure: EventFailure?) {
        #expect(RefusalCause.of(errCode).failure == failure)
    }

    @Test func postgresIsAskedAsBeforeWhereItIsNotTheTrouble() {
        #expect(StreamerError.jetStream(.notConnected("m")).leavesPostgres)
        #expect(StreamerError.slotActive(nil).leavesPostgres)
        #expect(!StreamerError.postgres(.connectionLost(message: "m")).leavesPostgres)
        #expect(!StreamerError.serverShuttingDown.leavesPostgres)
    }
}
