import Testing
import Threads

struct LongTimeTests {
    @Test func withoutTheVariableTheyAreAsPromised() {
        #expect(LongTime.allCases.map(\.duration) == [.seconds(75), .seconds(30), .seconds(300), .seconds(15), .seconds(60)])
    }

    @Test func aTextSetsSome() throws {
        #expect(try LongTime.parse("drain=2000,liveness=1") == [.drain: .seconds(2), .liveness: .milliseconds(1)])
    }

    @Test(arguments: ["", "drain", "drain=", "drain=2s", "drain=0", "drain=-1", "nothing=1", "drain=1,", "drain=1=1", "drain=1 liveness=1"])
    func aTextThatSetsNoTimesIsRefused(_ text: String) {
        #expect(throws: LongTime.InvalidText.self) { try LongTime.parse(text) }
    }
}
