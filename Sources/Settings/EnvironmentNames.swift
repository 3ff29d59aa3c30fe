import Capture

/// Which variables with our prefix are known.
enum EnvironmentNames {
    /// A complaint for each name with our prefix that no key has, in alphabetical order.
    static func complaints(_ environment: [String: String], except others: Set<String>) -> [Complaint] {
        let known = ConfigurationKey.all.flatMap(\.variables)
        let services = ServiceVariables(environment)
        return environment.keys.sorted().compactMap { name in
            guard name.hasPrefix(ConfigurationKey.variablePrefix), !known.contains(name), !others.contains(name),
                !services.contain(name)
            else { return nil }
            return Complaint(
                origin: .environment(name), key: name,
                problem: .unknownVariable(nearest: NearestName.nearest(to: name, among: known)))
        }
    }
}
