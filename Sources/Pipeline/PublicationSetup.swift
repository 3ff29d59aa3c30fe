import PostgresReplication
import WAL

/// What the publication needs: a look at the catalogue, and statements.
enum PublicationSetup {
    /// For counting rows, all tables together: what is not counted by then is estimated. Below the time that each command has, and the liveness limit.
    private static let countTime = Duration.seconds(5)

    /// The statements that make the publication publish what `tables` names; empty when it does.
    static func statements(
        _ source: StreamerConfiguration.Source, over connection: borrowing SQLConnection
    ) throws(PostgresError) -> [String] {
        let name = quoteIdentifier(source.publication)
        let existing = try connection.query(
            "SELECT puballtables FROM pg_catalog.pg_publication WHERE pubname = $1", [source.publication])
        guard let publication = existing.first else {
            if source.tables.contains("*") { return ["CREATE PUBLICATION \(name) FOR ALL TABLES"] }
            let tables = try matching(source.tables, over: connection)
            let list = tables.joined(separator: ", ")
            return ["CREATE PUBLICATION \(name)" + (tables.isEmpty ? "" : " FOR TABLE \(list)")]
        }
        // What FOR ALL TABLES publishes cannot be added to. In any other `*` is a pattern that every table matches.
        if publication.first == "t" { return [] }
        let published = Set(
            try connection.query(
                """
                SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
                FROM pg_catalog.pg_publication p
                JOIN pg_catalog.pg_class c ON true JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE p.pubname = $1
                  AND (EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid)
                       OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s
                                  WHERE s.pnpubid = p.oid AND s.pnnspid = c.relnamespace))
                """, [source.publication]
            ).compactMap { $0.first.flatMap { $0 } }.map { Array($0.utf8) })
        let missing = try matching(source.tables, over: connection).filter { !published.contains(Array($0.utf8)) }
        if missing.isEmpty { return [] }
        return ["ALTER PUBLICATION \(name) ADD TABLE \(missing.joined(separator: ", "))"]
    }

    /// Permanent tables whose `schema.table` matches one of the patterns, quoted; partitions come with their root.
    private static func matching(
        _ patterns: [String], over connection: borrowing SQLConnection
    ) throws(PostgresError) -> [String] {
        var tables: [String] = []
        // By bytes, as PostgreSQL compares names: to Swift two spellings of é are one.
        var seen: Set<[UInt8]> = []
        for pattern in patterns {
            let rows = try connection.query(
                """
                SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
                FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
                  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
                  AND pg_catalog.concat(n.nspname, '.', c.relname) LIKE $1
                ORDER BY n.nspname, c.relname
                """, [likePattern(pattern)])
            for row in rows {
                guard let name = row.first.flatMap({ $0 }), seen.insert(Array(name.utf8)).inserted else { continue }
                tables.append(name)
            }
        }
        return tables
    }

    /// `*` and `?` as LIKE has them; everything else stands for itself.
    static func likePattern(_ pattern: String) -> String {
        var like = String.UnicodeScalarView()
        // Scalars, not characters: a combining mark after `%` leaves it LIKE's own.
        for scalar in pattern.unicodeScalars {
            switch scalar {
            case "*": like.append("%")
            case "?": like.append("_")
            case "%", "_", "\\":
                like.append("\\")
                like.append(scalar)
            default: like.append(scalar)
            }
        }
        return String(like)
    }

    /// One sentence about the rows that were there before the slot.
    static func unpublishedRows(
        _ source: StreamerConfiguration.Source, over connection: borrowing SQLConnection, before start: LSN
    ) -> String {
        let about = "rows that were committed before \(start) are not published"
        let end = Instant.now + countTime
        do throws(PostgresError) {
            let tables = try connection.query(
                """
                WITH RECURSIVE \(PublishedTables.parts(candidates: PublishedTables.everyTable, publication: "$1"))
                SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), c.reltuples::pg_catalog.int8
                FROM published t JOIN pg_catalog.pg_class c ON c.oid = t.oid
                JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                ORDER BY 1
                """, [source.publication])
            var count: Int64 = 0
            var isExact = true
            for table in tables {
                guard table.count == 2, let name = table[0] else { continue }
                if let exact = exactCount(of: name, until: end, over: connection) {
                    count += exact
                } else {
                    // -1: never analysed.
                    let estimate = table[1].flatMap { Int64($0) } ?? -1
                    if estimate < 0 {
                        return
                            "\(about); they were not counted: \(name) may not be read or takes too long, and was never analysed"
                    }
                    count += estimate
                    isExact = false
                }
            }
            if tables.isEmpty { return "publication \(source.publication) has no table: source.tables matches none, and nothing is published until one is added" }
            return "\(about): \(isExact ? "" : "about ")\(count) in \(tables.count) tables"
        } catch {
            return "\(about); they could not be counted (\(error))"
        }
    }

    /// nil where it may not be read, where a policy would decide which rows are counted, or where the time is over.
    private static func exactCount(
        of quotedName: String, until end: Instant, over connection: borrowing SQLConnection
    ) -> Int64? {
        let left = end.duration(since: .now)
        guard left > .zero else { return nil }
        do throws(PostgresError) {
            // The server itself ends it when its time is over: given up on our side it would still be under way, and the connection took no other command.
            let answer = try connection.isolatedQuery("SELECT pg_catalog.count(*) FROM \(quotedName)", timeout: left)
            guard case .rows(let rows) = answer else { return nil }
            return rows.first?.first.flatMap { $0 }.flatMap { Int64($0) }
        } catch {
            return nil
        }
    }
}
