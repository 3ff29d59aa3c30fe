import History
import PostgresReplication
import Threads
import WAL

/// What `setup` asks the catalogue about the publication's tables: which a pattern means, and how many rows come too early.
enum PublicationSetup {
    /// For counting rows, all tables together: what is not counted by then is estimated. Below the time that each command has, and the liveness limit.
    private static let countTime = Duration.seconds(5)

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
                            "\(about) (not counted: \(name) cannot be read in time, and was never analysed)"
                    }
                    count += estimate
                    isExact = false
                }
            }
            if tables.isEmpty { return "no table is published" }
            return "\(about): \(isExact ? "" : "about ")\(count) in \(tables.count) tables"
        } catch {
            return "\(about) (not counted: \(ShownText.line("\(error)")))"
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
