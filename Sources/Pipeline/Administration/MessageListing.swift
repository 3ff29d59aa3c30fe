package import History
import PGOutput
import PostgresReplication
import WAL

/// pgoutput messages as readable lines: what `decode` prints.
package struct MessageListing: ~Copyable {
    private var decoder = PGOutputDecoder()
    private var relations: [RelationID: Relation] = [:]

    package init() {}

    /// Peeks at what a slot would send, without moving it.
    /// - Parameter limit: Changes at most; whole transactions are sent.
    /// - Returns: `lsn` and the message's hexadecimal digits, in order.
    package static func peek(
        _ configuration: StreamerConfiguration, limit: Int
    ) throws(StreamerError) -> [(lsn: String, hexadecimal: String)] {
        try StreamerError.ofPostgres { () throws(PostgresError) in
            let connection = try SQLConnection(configuration.source.connection, isReadOnly: true)
            let rows = try connection.query(
                """
                SELECT lsn, pg_catalog.encode(data, 'hex') FROM pg_catalog.pg_logical_slot_peek_binary_changes(
                    $1, NULL, $2::pg_catalog.int4, 'proto_version', '1', 'publication_names', $3, 'messages', 'true')
                """, [configuration.source.slot, String(limit), quoteIdentifier(configuration.source.publication)])
            return rows.map { ($0.first.flatMap { $0 } ?? "", $0.last.flatMap { $0 } ?? "") }
        }
    }

    /// One message of hexadecimal digits, perhaps with `\x` in front, as one line.
    /// - Throws: `.decoding` with the offset at which it is not pgoutput; `.stop` where it is not hexadecimal.
    package mutating func line(_ hexadecimal: some StringProtocol) throws(StreamerError) -> String {
        guard let bytes = Self.bytes(hexadecimal) else {
            throw .stop(.configuration, what: "the line does not have hexadecimal digits only",
                remedy: "Write each message in hexadecimal digits, one message a line")
        }
        let message: PGOutputMessage
        do throws(PGOutputError) {
            message = try decoder.decode(bytes.span.bytes)
        } catch {
            throw .decoding(error, at: .invalid)
        }
        return describe(message, bytes)
    }

    private static func bytes(_ hexadecimal: some StringProtocol) -> [UInt8]? {
        var digits = Substring(hexadecimal)
        if digits.hasPrefix("\\x") { digits = digits.dropFirst(2) }
        let text = Array(digits.utf8)
        guard text.count % 2 == 0, text.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }) else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: text.count, by: 2) {
            guard let byte = UInt8(String(decoding: text[index..<index + 2], as: UTF8.self), radix: 16) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    private mutating func describe(_ message: PGOutputMessage, _ bytes: [UInt8]) -> String {
        switch message {
        case .begin(let begin): return "BEGIN \(begin.xid) commit at \(begin.finalLSN) \(begin.commitTimestamp)"
        case .commit(let commit): return "COMMIT at \(commit.commitLSN) ends at \(commit.endLSN)"
        case .origin(let origin): return "ORIGIN \(text(origin.name, bytes)) \(origin.commitLSN)"
        case .relation(let relation):
            relations[relation.id] = relation
            let columns = relation.columns.map { ($0.isKey ? "*" : "") + $0.name }.joined(separator: ", ")
            return "RELATION \(relation.id) \(relation.qualifiedName) (\(columns)) identity \(relation.replicaIdentity)"
        case .type(let type): return "TYPE \(type.oid) \(type.namespace).\(type.name)"
        case .insert(let insert): return "INSERT \(name(insert.relationID)) \(row(decoder.newColumns, insert.relationID, bytes))"
        case .update(let update):
            let old = update.old == .none ? "" : " was \(oldRow(update.old, update.relationID, bytes))"
            return "UPDATE \(name(update.relationID)) \(row(decoder.newColumns, update.relationID, bytes))\(old)"
        case .delete(let delete): return "DELETE \(name(delete.relationID)) \(oldRow(delete.old, delete.relationID, bytes))"
        case .truncate(let truncate):
            let tables = (0..<truncate.relationCount).map { name(truncate.relationID(at: $0, in: bytes.span.bytes)) }
            return "TRUNCATE \(tables.joined(separator: ", "))" + (truncate.cascade ? " CASCADE" : "")
                + (truncate.restartIdentity ? " RESTART IDENTITY" : "")
        case .message(let message):
            return "MESSAGE \(message.isTransactional ? "in transaction" : "by itself") at \(message.lsn) \(text(message.prefix, bytes)) \(message.content.count) bytes"
        case .streamStart(let start): return "STREAM START \(start.xid)" + (start.isFirstSegment ? " first" : "")
        case .streamStop: return "STREAM STOP"
        case .streamCommit(let commit): return "STREAM COMMIT \(commit.xid) at \(commit.commitLSN) ends at \(commit.endLSN)"
        case .streamAbort(let abort): return "STREAM ABORT \(abort.xid) of \(abort.subxid)"
        case .beginPrepare(let prepare): return "BEGIN PREPARE \(prepare.xid) at \(prepare.prepareLSN) \(text(prepare.gid, bytes))"
        case .prepare(let prepare): return "PREPARE \(prepare.xid) at \(prepare.prepareLSN) \(text(prepare.gid, bytes))"
        case .commitPrepared(let commit): return "COMMIT PREPARED \(commit.xid) at \(commit.commitLSN) \(text(commit.gid, bytes))"
        case .rollbackPrepared(let rollback): return "ROLLBACK PREPARED \(rollback.xid) at \(rollback.rollbackEndLSN) \(text(rollback.gid, bytes))"
        case .streamPrepare(let prepare): return "STREAM PREPARE \(prepare.xid) at \(prepare.prepareLSN) \(text(prepare.gid, bytes))"
        }
    }

    private func name(_ id: RelationID) -> String {
        relations[id]?.qualifiedName ?? "relation \(id)"
    }

    /// An old key has every column, but the others than the key's are sent as null and mean nothing.
    private func oldRow(_ tuple: OldTuple, _ id: RelationID, _ bytes: [UInt8]) -> String {
        guard tuple == .key, let columns = relations[id]?.columns else { return row(decoder.oldColumns, id, bytes) }
        return "key " + row(decoder.oldColumns, id, bytes) { $0 < columns.count && columns[$0].isKey }
    }

    private func row(
        _ columns: [TupleColumn], _ id: RelationID, _ bytes: [UInt8], where isShown: (Int) -> Bool = { _ in true }
    ) -> String {
        columns.enumerated().filter { isShown($0.offset) }.map { index, column in
            let names = relations[id]?.columns
            let name = names.flatMap { index < $0.count ? $0[index].name : nil } ?? "\(index + 1)"
            switch column.kind {
            case .null: return "\(name)=NULL"
            case .unchanged: return "\(name)=(unchanged)"
            case .text: return "\(name)='\(text(column.bytes, bytes))'"
            case .binary: return "\(name)=(\(column.byteCount) binary bytes)"
            }
        }.joined(separator: " ")
    }

    /// Control characters are shown as escapes: a row stays one line, and none reaches a terminal.
    private func text(_ range: ByteRange, _ bytes: [UInt8]) -> String {
        String(decoding: bytes[range.start..<range.start + range.count], as: UTF8.self).unicodeScalars
            .map { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) ? $0.escaped(asASCII: true) : String($0) }.joined()
    }
}
