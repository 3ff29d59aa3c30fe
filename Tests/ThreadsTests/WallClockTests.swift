import Testing
import Threads
import WAL

@Suite struct WallClockTests {
    @Test func theWallClockIsThisCenturys() {
        let now = PostgresTimestamp.now.unixMicroseconds
        #expect(now > 1_700_000_000_000_000 && now < 4_102_444_800_000_000)
    }
}
