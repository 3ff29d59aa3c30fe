import Testing

@testable import PostgresReplication

@Suite struct HostListTests {
    @Test func takesOutTheHostThatWasSilent() {
        var list = HostList(hosts: "a,b,a", addresses: "", ports: "1,2,3")
        let third = list.remove(name: "a", address: "10.0.0.1", port: "3")
        #expect(third && list.hosts == "a,b" && list.ports == "1,2" && list.addresses == "")
        let second = list.remove(name: "b", address: "", port: "2")
        #expect(second && list.hosts == "a")
        let last = list.remove(name: "a", address: "", port: "1")
        #expect(!last && list.hosts == "a")
    }

    @Test func onePortIsEveryHosts() {
        var list = HostList(hosts: "a,b", addresses: "", ports: "5433")
        #expect(list.count == 2)
        let removed = list.remove(name: "a", address: "", port: "5433")
        #expect(removed && list.hosts == "b" && list.ports == "5433")
    }

    @Test func addressesStandInForNamesAndStayBesideThem() {
        var bare = HostList(hosts: "", addresses: "10.0.0.1,10.0.0.2", ports: "5432")
        let byAddress = bare.remove(name: "10.0.0.1", address: "10.0.0.1", port: "5432")
        #expect(byAddress && bare.addresses == "10.0.0.2")
        var both = HostList(hosts: "a,b", addresses: "10.0.0.1,10.0.0.2", ports: "")
        let byName = both.remove(name: "a", address: "10.0.0.1", port: "5432")
        #expect(byName && both.hosts == "b" && both.addresses == "10.0.0.2")
    }

    @Test func aHostThatIsNotListedLeavesTheListAlone() {
        var list = HostList(hosts: "a,b", addresses: "", ports: "1,2")
        let removed = list.remove(name: "a", address: "", port: "2")
        #expect(!removed && list.count == 2)
    }

    @Test func libpqsDefaultHostIsNotAskedAgain() {
        var list = HostList(hosts: "a,", addresses: "", ports: "1")
        let removed = list.remove(name: "a", address: "", port: "1")
        #expect(!removed)
    }
}
