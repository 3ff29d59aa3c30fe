import Testing
import WAL

@testable import Pipeline

@Suite struct PublicationWatchTests {
    @Test func aPublicationThatHasGoneIsOverOnceAllBeforeIsDecoded() {
        let start = Instant(nanoseconds: 1)
        var watch = PublicationWatch(at: start)
        #expect(!watch.isDue(at: start))
        #expect(watch.isDue(at: start + PublicationWatch.interval))
        watch.looked(PublicationState(isThere: true, isOlderThanSlot: true, serverLSN: LSN(0x100)), at: start)
        #expect(!watch.isOver(decodedUpTo: LSN(0x200)))
        let gone = PublicationState(isThere: false, isOlderThanSlot: false, serverLSN: LSN(0x300))
        watch.looked(gone, at: start)
        watch.looked(PublicationState(isThere: false, isOlderThanSlot: false, serverLSN: LSN(0x900)), at: start)
        watch.looked(nil, at: start)
        #expect(!watch.isOver(decodedUpTo: LSN(0x2FF)))
        #expect(watch.isOver(decodedUpTo: LSN(0x300)), "the first look counts")
        watch.looked(PublicationState(isThere: true, isOlderThanSlot: false, serverLSN: LSN(0xA00)), at: start)
        #expect(!watch.isOver(decodedUpTo: LSN(0xB00)), "it is back")
    }
}
