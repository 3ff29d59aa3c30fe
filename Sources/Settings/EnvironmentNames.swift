import Pipeline

/// Which variables with our prefix are known.
enum EnvironmentNames {
    /// A complaint for each name with our prefix that no key has, in alphabetical order.
    static func complaints(_ names: some Sequence<String>, except others: Set<String>) -> [Complaint] {
        let known = ConfigurationKey.all.flatMap(\.variables)
        return names.sorted().compactMap { name in
            guard name.hasPrefix(ConfigurationKey.variablePrefix), !known.contains(name), !others.contains(name),
                !isServiceLink(name)
            else { return nil }
            if let key = ConfigurationKey.all.first(where: { ConfigurationKey.variable($0.path) == name }) {
                return Complaint(origin: .environment(name), key: key.path, problem: .fileOnly)
            }
            return Complaint(
                origin: .environment(name), key: name,
                problem: .unknownVariable(nearest: NearestName.nearest(to: name, among: known)))
        }
    }

    /// Whether Kubernetes made the name: it puts variables for each Service into every container of the namespace, and a Service called `slotstream` gives them
    /// our prefix (`SLOTSTREAM_SERVICE_HOST`, `SLOTSTREAM_PORT_7432_TCP_ADDR`).
    private static func isServiceLink(_ name: String) -> Bool {
        if name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.hasSuffix("_PORT") { return true }
        let parts = name.split(separator: "_")
        return parts.indices.dropFirst(2).contains { index in
            parts[index - 2] == "PORT" && Int(parts[index - 1]) != nil && ["TCP", "UDP", "SCTP"].contains(parts[index])
        }
    }
}
