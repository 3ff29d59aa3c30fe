/// The hosts of a connection string, in libpq's form: three comma-separated lists side by side.
struct HostList: Equatable {
    private struct Host: Equatable {
        var name: String
        var address: String
        var port: String
    }

    private var entries: [Host]

    /// - Parameters:
    ///   - hosts: libpq's `host`; "" if not given.
    ///   - addresses: libpq's `hostaddr`; "" if not given.
    ///   - ports: libpq's `port`: one for all, or one each.
    init(hosts: String, addresses: String, ports: String) {
        func split(_ list: String) -> [String] {
            list.split(separator: ",", omittingEmptySubsequences: false).map { String($0) }
        }
        let names = split(hosts)
        let addresses = split(addresses)
        let ports = split(ports)
        entries = (0..<max(names.count, addresses.count)).map { index in
            Host(
                name: index < names.count ? names[index] : "",
                address: index < addresses.count ? addresses[index] : "",
                port: ports.count == 1 ? ports[0] : index < ports.count ? ports[index] : "")
        }
    }

    var count: Int { entries.count }
    var hosts: String { entries.map(\.name).joined(separator: ",") }
    var addresses: String {
        entries.contains { !$0.address.isEmpty } ? entries.map(\.address).joined(separator: ",") : ""
    }
    var ports: String { entries.map(\.port).joined(separator: ",") }

    /// Takes out the first host that libpq calls `name` (or `address`), at `port`; false if there is none, or no other is left.
    mutating func remove(name: String, address: String, port: String) -> Bool {
        guard entries.count > 1,
            let index = entries.firstIndex(where: { entry in
                (entry.name.isEmpty ? entry.address == address : entry.name == name)
                    && (entry.port.isEmpty || entry.port == port)
            })
        else { return false }
        entries.remove(at: index)
        // libpq takes an empty value for one not given, and would fall back to the hosts that this list replaces.
        return entries.contains { !$0.name.isEmpty || !$0.address.isEmpty }
    }
}
