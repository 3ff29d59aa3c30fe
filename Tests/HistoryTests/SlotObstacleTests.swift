import History
import PostgresReplication
import Testing
import WAL

/// What ends a stream of changes for good, and what passes.
struct SlotObstacleTests {
    private static func error(_ sqlState: String, severity: String = "ERROR") -> PostgresError {
        .server(sqlState: sqlState, severity: severity, message: "m", detail: nil, hint: nil, command: "c")
    }

    private static let progress = SlotProgress(startLSN: LSN(0x100))

    private static func obstacle(_ sqlState: String, isPublicationSure: Bool = true) -> SlotObstacle? {
        SlotObstacle(error(sqlState), progress, isPublicationSure: isPublicationSure)
    }

    @Test(arguments: ["08006", "25006", "40001", "53200", "55006", "57014", "57P01", "58030", "42501"])
    func whatPassesOrAnotherExplainsIsNoObstacle(_ sqlState: String) {
        #expect(Self.obstacle(sqlState) == nil)
    }

    @Test func anErrorThatEndsTheSessionIsOneToo() {
        #expect(
            SlotObstacle(Self.error("22P05", severity: "FATAL"), Self.progress, isPublicationSure: true)?.reason
                == .poisonEvent)
        #expect(
            SlotObstacle(Self.error("57P01", severity: "FATAL"), Self.progress, isPublicationSure: true) == nil)
        #expect(SlotObstacle(.connectionLost(message: "m"), Self.progress, isPublicationSure: true) == nil)
    }

    @Test func anUndefinedObjectIsThePublicationUnlessTheCatalogueIsSureOfIt() {
        #expect(Self.obstacle("42704", isPublicationSure: false)?.reason == .publicationLost)
        #expect(Self.obstacle("42704", isPublicationSure: true)?.reason == .poisonEvent)
        #expect(Self.obstacle("22P05", isPublicationSure: false)?.reason == .poisonEvent)
    }

    @Test(arguments: ["22P05", "22021", "54000", "22012", "P0001"])
    func aValueThatCannotBeSentIsBelievedAtOnce(_ sqlState: String) throws {
        #expect(ObstacleMemory().isBelieved(try #require(Self.obstacle(sqlState))))
    }

    @Test func anInternalErrorIsBelievedWhenItComesAgainAtTheSamePlace() throws {
        let memory = ObstacleMemory()
        let obstacle = try #require(Self.obstacle("XX000"))
        #expect(!memory.isBelieved(obstacle))
        #expect(!memory.isBelieved(obstacle))
        #expect(memory.isBelieved(obstacle))
    }

    @Test func anInternalErrorBehindWhatWasSentSinceIsAnother() throws {
        let memory = ObstacleMemory()
        for lsn in stride(from: UInt64(0x100), to: 0x900, by: 0x100) {
            let obstacle = SlotObstacle(
                Self.error("XX000"), SlotProgress(startLSN: LSN(lsn)), isPublicationSure: true)
            #expect(!memory.isBelieved(try #require(obstacle)))
        }
    }
}
