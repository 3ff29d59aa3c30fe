import History
import PostgresReplication

/// What makes the publication publish what `source.tables` names, and what is wrong with that: read from the catalogue, before anything is made.
struct PublicationPlan {
    /// Empty where the publication publishes it all.
    var statements: [String] = []
    /// The tables that they add, by name.
    var missing: [String] = []
    /// What must not pass silently: a pattern without a table.
    var refusals: [Finding] = []
    /// What is worth knowing.
    var notes: [Note] = []
    /// Tables that would be published anew though UPDATE and DELETE of them need a replica identity.
    var unidentified: [PublicationContents.Table] = []
    /// The same of tables that are published already.
    var published: [PublicationContents.Table] = []

    /// Refuses what nobody can have meant.
    /// - Parameter allowsNoIdentity: Whether tables may be published of which UPDATE and DELETE fail from then on.
    func requireMeant(allowsNoIdentity: Bool) throws(StreamerError) {
        let findings = refusals + (allowsNoIdentity ? [] : Finding.unidentified(unidentified.compactMap(\.unidentified), arePublished: false))
        if !findings.isEmpty { throw .found(.configuration, findings) }
    }

    /// All that is to be told of a plan that is not refused.
    var allNotes: [Note] {
        notes + Finding.unidentified((unidentified + published).compactMap(\.unidentified), arePublished: true).map { .finding($0) }
    }

    /// What a DBA runs, for the publication and for the tables in it that have no replica identity.
    ///
    /// - Throws: `.stop(.configuration)` as `requireMeant`, but for what the statements mend.
    func script(allowsNoIdentity: Bool) throws(StreamerError) -> [String] {
        if allowsNoIdentity {
            try requireMeant(allowsNoIdentity: true)
            return statements
        }
        let findings =
            refusals
            + Finding.unidentified(
                unidentified.filter { $0.identityStatement == nil }.compactMap(\.unidentified), arePublished: false)
        if !findings.isEmpty { throw .found(.configuration, findings) }
        var identities = (unidentified + published).compactMap(\.identityStatement)
        if !identities.isEmpty {
            identities[0] = "-- Without this, UPDATE and DELETE of these tables fail in the application once they are published.\n\(identities[0])"
        }
        return identities + statements
    }

    // MARK: - Reading

    /// Looks at publication and tables.
    static func read(
        _ source: StreamerConfiguration.Source, over sql: borrowing SQLConnection
    ) throws(PostgresError) -> PublicationPlan {
        var plan = PublicationPlan()
        let contents = try PublicationContents.read(source.publication, over: sql)
        plan.published = contents?.unidentified ?? []
        let name = quoteIdentifier(source.publication)
        // What FOR ALL TABLES publishes cannot be added to. In any other publication `*` is a pattern that every table matches.
        if contents?.isForAllTables == true {
            // Nothing is missing, whatever the patterns are.
        } else if contents == nil, source.tables == ["*"] {
            // Tables that are partitioned come later, too.
            plan.statements = ["CREATE PUBLICATION \(name) FOR ALL TABLES WITH (publish_via_partition_root = true)"]
            let tables = try PublicationContents.added(by: nil, to: source.publication, over: sql)
            plan.unidentified = PublicationContents.unidentified(tables)
            plan.tellRoots(tables)
            plan.notes.append(
                "PostgreSQL publishes the tables that are made later, too. UPDATE and DELETE of a table without primary key then fail in the application: `slotstream run` logs the table's name"
            )
        } else {
            try plan.add(source, to: contents, over: sql)
        }
        if let contents { plan.tellPartitions(contents.byPartition, source.publication) }
        return plan
    }

    private mutating func add(
        _ source: StreamerConfiguration.Source, to contents: PublicationContents?, over sql: borrowing SQLConnection
    ) throws(PostgresError) {
        let reached = Set(contents?.tables.map(\.oid) ?? [])
        var missing: [TableMatch] = []
        var seen = reached
        var unmatched: [String] = []
        for pattern in source.tables {
            let matches = try TableMatch.tables(matching: pattern, over: sql)
            missing += matches.filter { seen.insert($0.oid).inserted }
            if matches.isEmpty, try !TableMatch.isAny(of: reached, matching: pattern, over: sql) { unmatched.append(pattern) }
        }
        if source.tables.isEmpty {
            notes.append("source.tables is empty: `setup` adds no table to the publication. Logical messages are published all the same")
        } else if !unmatched.isEmpty {
            try complain(of: unmatched, source, isPublishing: contents?.publishedNames.isEmpty == false, over: sql)
        }
        let name = quoteIdentifier(source.publication)
        self.missing = missing.map(\.name)
        let list = self.missing.joined(separator: ", ")
        if contents != nil {
            if !missing.isEmpty { statements = ["ALTER PUBLICATION \(name) ADD TABLE \(list)"] }
        } else if missing.isEmpty {
            statements = ["CREATE PUBLICATION \(name)"]
        } else {
            let isByRoot = missing.contains(where: \.isPartitioned)
            statements = ["CREATE PUBLICATION \(name) FOR TABLE \(list)\(isByRoot ? " WITH (publish_via_partition_root = true)" : "")"]
        }
        guard !missing.isEmpty else { return }
        let added = try PublicationContents.added(by: missing.map(\.oid), to: source.publication, over: sql)
        if contents?.hasOldRows ?? true {
            unidentified = PublicationContents.unidentified(added).filter { !reached.contains($0.oid) }
        }
        if let contents {
            let roots = contents.isByRoot ? [] : added.filter(\.isRoot)
            tellPartitions(roots, source.publication)
        } else {
            tellRoots(added)
        }
    }

    private mutating func tellPartitions(_ roots: [PublicationContents.Table], _ publication: String) {
        notes += Finding.publishedByPartition(roots.map(\.name), publication: publication).map { .finding($0) }
    }

    private mutating func tellRoots(_ tables: [PublicationContents.Table]) {
        let roots = tables.filter(\.isRoot).map(\.name)
        guard !roots.isEmpty else { return }
        let isOne = roots.count == 1
        notes.append(
            "\(ShownText.names(roots)) \(isOne ? "is" : "are") partitioned: the events have \(isOne ? "this name" : "these names"), not the partitions' (publish_via_partition_root)"
        )
    }

    /// Patterns that match nothing are refused, but for the default, which nobody wrote: there the publication is the operator's own.
    private mutating func complain(
        of patterns: [String], _ source: StreamerConfiguration.Source, isPublishing: Bool, over sql: borrowing SQLConnection
    ) throws(PostgresError) {
        if isPublishing, source.tables == StreamerConfiguration.Source.defaultTables {
            notes.append(
                "source.tables is not set, and its default, \(ShownText.names(patterns)), matches no table: the publication stays unchanged")
            return
        }
        refusals.append(
            .unmatched(
                patterns, of: source.tables, isNoneMatched: patterns.count == source.tables.count, near: try TableMatch.near(patterns, over: sql),
                others: try TableMatch.others(matching: patterns, over: sql), database: try sql.databaseName()))
    }
}
