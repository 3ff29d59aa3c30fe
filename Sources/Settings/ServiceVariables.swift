/// The variables that Kubernetes puts into every container of a namespace, for each Service in it.
///
/// A Service called `slotstream` gives them our prefix (`SLOTSTREAM_SERVICE_HOST`, `SLOTSTREAM_PORT_7432_TCP_ADDR`). A name is taken for one of them only
/// where the Service's own two are there and its value is what Kubernetes writes: anything else that ends in `_PORT` is a setting that somebody mistyped.
/// Source: Kubernetes, "Service", "Environment variables".
struct ServiceVariables {
    private let environment: [String: String]
    /// What stands before `_SERVICE_HOST`, of each Service.
    private let services: [String]

    init(_ environment: [String: String]) {
        self.environment = environment
        services = environment.keys.filter { $0.hasSuffix("_SERVICE_HOST") }.map { String($0.dropLast("_SERVICE_HOST".count)) }
            .filter { Self.isAddress(environment["\($0)_SERVICE_HOST"]) && Self.isPort(environment["\($0)_SERVICE_PORT"]) }
    }

    /// Whether Kubernetes made the variable of this name.
    func contain(_ name: String) -> Bool {
        services.contains { service in
            name.hasPrefix(service + "_") && isOne(name.dropFirst(service.count + 1), value: environment[name])
        }
    }

    /// - Parameter rest: What stands behind the Service's name and its `_`.
    private func isOne(_ rest: Substring, value: String?) -> Bool {
        if rest == "SERVICE_HOST" { return Self.isAddress(value) }
        if rest == "SERVICE_PORT" || rest.hasPrefix("SERVICE_PORT_") { return Self.isPort(value) }
        let parts = rest.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.first == "PORT" else { return false }
        if parts.count == 1 { return Self.isURL(value) }
        guard parts.count >= 3, Self.isPort(String(parts[1])), Self.protocols.contains(parts[2].lowercased()) else {
            return false
        }
        switch parts.dropFirst(3) {
        case []: return Self.isURL(value)
        case ["PROTO"]: return value == parts[2].lowercased()
        case ["PORT"]: return value.map { $0 == parts[1] } ?? false
        case ["ADDR"]: return Self.isAddress(value)
        default: return false
        }
    }

    private static let protocols = ["tcp", "udp", "sctp"]

    /// An IPv4 or IPv6 number.
    private static func isAddress(_ text: String?) -> Bool {
        guard let text, text.contains(".") || text.contains(":") else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
                UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "."), UInt8(ascii: ":"):
                true
            default: false
            }
        }
    }

    private static func isPort(_ text: String?) -> Bool {
        guard let text, let port = UInt16(text) else { return false }
        return port > 0 && "\(port)" == text
    }

    /// `tcp://10.0.0.1:80`
    private static func isURL(_ text: String?) -> Bool {
        guard let text, let scheme = protocols.first(where: { text.hasPrefix($0 + "://") }) else { return false }
        let address = text.dropFirst(scheme.count + 3)
        guard let colon = address.lastIndex(of: ":") else { return false }
        let host = address[..<colon]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        return isAddress(String(isBracketed ? host.dropFirst().dropLast() : host))
            && isPort(String(address[address.index(after: colon)...]))
    }
}
