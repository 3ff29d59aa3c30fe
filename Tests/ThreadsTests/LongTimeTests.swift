import Testing
import Threads

struct LongTimeTests {
    @Test func withoutTheVariableTheyAreAsPromised() {
        #expect(LongTime.allCases.map(\.duration) == [.seconds(30), .seconds(300), .seconds(15), .seconds(60), .seconds(60)])
    }

    @Test func aTextSetsSome() throws {
        #expect(try LongTime.parse("watch=2000,liveness=1") == [.watch: .seconds(2), .liveness: .milliseconds(1)])
    }

    @Test(arguments: ["", "watch", "watch=", "watch=2s", "watch=0", "watch=-1", "nothing=1", "watch=1,", "watch=1=1", "watch=1 liveness=1"])
    func aTextThatSetsNoTimesIsRefused(_ text: String) {
        #expect(throws: LongTime.InvalidText.self) { try LongTime.parse(text) }
    }
}
