import History
import Logging
import PostgresReplication
import Synchronization

/// Tells which tables are published: at the start, and whenever that has changed since it was told last, in this session or a former one.
enum PublicationReport {
    /// Names in one line of the log.
    private static let nameLimit = 50

    static func tell(
        _ found: PublicationContents, _ source: StreamerConfiguration.Source, to observations: Observations, _ logger: Logger
    ) {
        let former = observations.texts.withLock { texts in
            defer {
                texts.publication = found
                texts.isNothingPublished = found.isEmptyByMistake(source)
            }
            return texts.publication
        }
        guard found != former else { return }
        tellNames(found, former, source, logger)
        if found.isEmptyByMistake(source), former?.isEmptyByMistake(source) != true {
            tell(.empty(source.publication), at: .error, logger)
        }
        let known = Set(former?.unidentified.map(\.oid) ?? [])
        for finding in TableFinding.unidentified(found.unidentified.filter { !known.contains($0.oid) }, arePublished: true) {
            tell(finding, at: .warning, logger)
        }
        let knownRoots = Set(former?.byPartition.map(\.oid) ?? [])
        for finding in TableFinding.byPartition(
            found.byPartition.filter { !knownRoots.contains($0.oid) }, publication: source.publication)
        {
            tell(finding, at: .warning, logger)
        }
    }

    private static func tellNames(
        _ found: PublicationContents, _ former: PublicationContents?, _ source: StreamerConfiguration.Source, _ logger: Logger
    ) {
        let names = found.publishedNames
        guard let former else {
            logger.notice(
                "publishing",
                metadata: [
                    "publication": "\(source.publication)", "count": .stringConvertible(names.count),
                    "tables": "\(ShownText.names(names, limit: nameLimit))",
                ])
            return
        }
        let added = missing(names, in: former.publishedNames)
        let removed = missing(former.publishedNames, in: names)
        guard !added.isEmpty || !removed.isEmpty else { return }
        var metadata: Logger.Metadata = ["publication": "\(source.publication)", "count": .stringConvertible(names.count)]
        if !added.isEmpty { metadata["added"] = "\(ShownText.names(added, limit: nameLimit))" }
        if !removed.isEmpty { metadata["removed"] = "\(ShownText.names(removed, limit: nameLimit))" }
        logger.notice("the published tables have changed", metadata: metadata)
    }

    /// By bytes: to Swift two spellings of é are one.
    private static func missing(_ names: [String], in others: [String]) -> [String] {
        let known = Set(others.map { Array($0.utf8) })
        return names.filter { !known.contains(Array($0.utf8)) }
    }

    static func tell(_ finding: TableFinding, at level: Logger.Level, _ logger: Logger) {
        logger.log(level: level, "\(finding.message)", metadata: ["finding": "\(finding.id)", "remedy": "\(finding.remedy)"])
    }
}
