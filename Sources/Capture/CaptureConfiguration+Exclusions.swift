extension CaptureConfiguration {
    /// Those of `operations` whose events of a table `exclusions` leave out.
    ///
    /// - Parameter table: `schema.table`, as events name it.
    package func excluded(_ operations: [String], of table: String) -> [String] {
        let patterns = exclusions.map(ExclusionPattern.init)
        return operations.filter { operation in patterns.contains { $0.matches(qualifiedName: table, operation: operation) } }
    }
}
