import History
import JetStreamPublishing
import PostgresReplication
import Testing
import WAL

@Suite struct RotationPatienceTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)
    private static let refusals: [StreamerError] = [
        .postgres(.connectionFailed(message: "m", sqlState: "28P01")), .postgres(.passwordMissing(message: "m")),
        .postgres(.connectionStringInvalid(message: "m")), .jetStream(.authorization("a")), .jetStream(.configuration("no such file")),
        .jetStream(.api(code: 503, errCode: 10_039, description: "d", operation: "o")),
    ]

    @Test(arguments: refusals)
    func aSecretThatNeverWorkedIsNotTriedAgain(_ refusal: StreamerError) {
        #expect(RotationPatience().rest(of: refusal, at: Self.start) == nil)
    }

    @Test(arguments: refusals)
    func oneThatWorkedIsTriedAgainForTenMinutes(_ refusal: StreamerError) {
        let patience = RotationPatience()
        patience.worked()
        #expect(patience.rest(of: refusal, at: Self.start) == .seconds(600))
        #expect(patience.rest(of: refusal, at: Self.start + .seconds(599)) == .seconds(1))
        #expect(patience.rest(of: refusal, at: Self.start + .seconds(600)) == nil)
        #expect(patience.rest(of: refusal, at: Self.start + .seconds(700)) == nil)
    }

    @Test func eachRotationHasItsOwnTenMinutes() {
        let patience = RotationPatience()
        patience.worked()
        #expect(patience.rest(of: Self.refusals[0], at: Self.start) == .seconds(600))
        patience.worked()
        #expect(patience.rest(of: Self.refusals[0], at: Self.start + .seconds(900)) == .seconds(600))
    }

    @Test func whatNoRotationExplainsIsNotTriedAgain() {
        let patience = RotationPatience()
        patience.worked()
        for error in [
            StreamerError.postgres(.connectionFailed(message: "pg_hba.conf", sqlState: "28000")), .jetStream(.tls("t")),
            .jetStream(.permission("p")), .system("s"), .stop(.poisonEvent, what: "w", remedy: "r"),
        ] {
            #expect(patience.rest(of: error, at: Self.start) == nil, "\(error)")
        }
    }
}
