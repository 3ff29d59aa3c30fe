import PGOutput
import WAL

/// Writes decoded messages as text that is the same in every run: one line a message, relations and types by name,
/// transactions numbered as they appear (`x1`), no LSNs and no times but those that a case sets itself.
struct Transcript {
    private var relations: [RelationID: String] = [:]
    private var types: [UInt32: String] = [:]
    private var transactions: [TransactionID: Int] = [:]

    /// The text of one case's decoding sessions, `--` between them.
    static func text(_ sessions: [[DecodedMessage]]) -> String {
        sessions.map { session in
            var transcript = Transcript()
            return session.map { transcript.line($0) + "\n" }.joined()
        }.joined(separator: "--\n")
    }

    private mutating func line(_ decoded: DecodedMessage) -> String {
        switch decoded.message {
        case .begin(let begin): "begin \(x(begin.xid))"
        case .commit: "commit"
        case .origin(let origin): "origin \(decoded.text(origin.name)) \(origin.commitLSN)"
        case .relation(let relation): line(relation)
        case .type(let type): line(type)
        case .insert(let insert):
            "\(streamed(insert.streamedXID))insert \(name(insert.relationID)) \(row(decoded.newColumns, decoded))"
        case .update(let update):
            "\(streamed(update.streamedXID))update \(name(update.relationID))\(old(update.old, decoded)) "
                + "\(row(decoded.newColumns, decoded))"
        case .delete(let delete):
            "\(streamed(delete.streamedXID))delete \(name(delete.relationID))\(old(delete.old, decoded))"
        case .truncate(let truncate): line(truncate, decoded)
        case .message(let message):
            "\(streamed(message.streamedXID))message \(message.isTransactional ? "in" : "outside") "
                + "'\(decoded.text(message.prefix))' \(content(message.content, decoded))"
        case .streamStart(let start): "stream start \(x(start.xid))\(start.isFirstSegment ? " first" : "")"
        case .streamStop: "stream stop"
        case .streamCommit(let commit): "stream commit \(x(commit.xid))"
        case .streamAbort(let abort):
            "stream abort \(x(abort.xid)) \(x(abort.subxid))\(abort.abortLSN == nil ? "" : " at its LSN")"
        case .beginPrepare(let begin): "begin prepare \(x(begin.xid)) \(decoded.text(begin.gid))"
        case .prepare(let prepare): "prepare \(x(prepare.xid)) \(decoded.text(prepare.gid))"
        case .commitPrepared(let commit): "commit prepared \(decoded.text(commit.gid))"
        case .rollbackPrepared(let rollback): "rollback prepared \(decoded.text(rollback.gid))"
        case .streamPrepare(let prepare): "stream prepare \(x(prepare.xid)) \(decoded.text(prepare.gid))"
        }
    }

    private mutating func line(_ relation: Relation) -> String {
        relations[relation.id] = relation.name
        let columns = relation.columns.map { column in
            let modifier = column.typeModifier == -1 ? "" : "(\(column.typeModifier))"
            return "\(column.name)\(column.isKey ? "*" : "") \(types[column.typeOID] ?? "\(column.typeOID)")\(modifier)"
        }
        return "\(streamed(relation.streamedXID))relation \(relation.namespace).\(relation.name) "
            + "by \(relation.replicaIdentity): (\(columns.joined(separator: ", ")))"
    }

    private mutating func line(_ type: TypeDescription) -> String {
        types[type.oid] = type.name
        return "\(streamed(type.streamedXID))type \(type.namespace).\(type.name)"
    }

    private mutating func line(_ truncate: Truncate, _ decoded: DecodedMessage) -> String {
        var line = streamed(truncate.streamedXID) + "truncate"
        for index in 0..<truncate.relationCount {
            line += " " + name(truncate.relationID(at: index, in: decoded.bytes.span.bytes))
        }
        return line + (truncate.cascade ? " cascade" : "") + (truncate.restartIdentity ? " restart" : "")
    }

    private func old(_ old: OldTuple, _ decoded: DecodedMessage) -> String {
        switch old {
        case .none: ""
        case .key: " key \(row(decoded.oldColumns, decoded))"
        case .full: " old \(row(decoded.oldColumns, decoded))"
        }
    }

    private func row(_ columns: [TupleColumn], _ decoded: DecodedMessage) -> String {
        let cells = columns.map { column in
            switch column.kind {
            case .null: "null"
            case .unchanged: "unchanged"
            case .text where column.byteCount > 1000: "\(column.byteCount) bytes"
            case .text: "'\(decoded.text(column.bytes))'"
            case .binary: hexadecimal(column.bytes, decoded)
            }
        }
        return "(\(cells.joined(separator: ", ")))"
    }

    private func content(_ range: ByteRange, _ decoded: DecodedMessage) -> String {
        let isPrintable = decoded.bytes[range.start..<range.end].allSatisfy { (0x20...0x7E).contains($0) }
        return isPrintable ? "'\(decoded.text(range))'" : hexadecimal(range, decoded)
    }

    private func hexadecimal(_ range: ByteRange, _ decoded: DecodedMessage) -> String {
        "x" + decoded.bytes[range.start..<range.end].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private func name(_ id: RelationID) -> String { relations[id] ?? "unknown relation" }

    private mutating func streamed(_ xid: TransactionID?) -> String { xid.map { "\(x($0)) " } ?? "" }

    private mutating func x(_ xid: TransactionID) -> String {
        let number = transactions[xid] ?? transactions.count + 1
        transactions[xid] = number
        return "x\(number)"
    }
}
