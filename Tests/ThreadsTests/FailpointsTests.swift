import Testing
import Threads

struct FailpointsTests {
    @Test(arguments: ["", "after_ack", "after_ack=", "=kill", "nowhere=kill", "after_ack=explode", "after_ack=kill:", "after_ack=kill:0", "after_ack=kill:-1", "after_ack=kill:1:1", "after_ack=kill=1"])
    func aTextThatNamesNoFailpointIsRefused(_ text: String) {
        #expect(throws: Failpoints.InvalidText.self) { try Failpoints(text) }
    }

    @Test func nothingHappensAtAnotherPointOrPass() throws {
        Failpoints.none.reached(.afterAck)
        let failpoints = try Failpoints("after_ack=kill:3")
        for point in Failpoint.allCases where point != .afterAck { failpoints.reached(point) }
        // It lives: the third pass would end it.
        failpoints.reached(.afterAck)
        failpoints.reached(.afterAck)
    }
}
