import Testing
import WAL

@testable import PGOutput

/// What real servers sent, decoded.
@Suite struct GoldenVectorTests {
    @Test(arguments: GoldenVector.versions)
    func everyCaseDecodesToTheTranscriptBesideIt(version: Int) throws {
        for vector in try GoldenVector.all(version: version) {
            let transcript = Transcript.text(try vector.decoded())
            #expect(transcript == (try vector.expectedTranscript()), "\(vector.testDescription)")
        }
    }

    @Test(arguments: GoldenVector.versions)
    func everyByteOfEveryMessageIsReadAsTheRightField(version: Int) throws {
        for vector in try GoldenVector.all(version: version) {
            for decoded in try vector.decoded().joined() {
                #expect(MessageEncoder.bytes(of: decoded) == decoded.bytes, "\(vector.testDescription)")
            }
        }
    }

    @Test(arguments: GoldenVector.versions)
    func everyKindOfMessageIsAmongTheVectors(version: Int) throws {
        let tags = try GoldenVector.all(version: version).flatMap(\.sessions).joined().compactMap(\.first)
        #expect(Set(tags) == Set(MessageTag.allCases.map(\.rawValue)))
    }

    @Test(arguments: GoldenVector.versions)
    func everyShapeOfAMessageIsAmongTheVectors(version: Int) throws {
        var columns: Set<TupleColumnKind> = []
        var updates: Set<OldTuple> = []
        var deletes: Set<OldTuple> = []
        var identities: Set<ReplicaIdentity> = []
        var aborts: Set<String> = []
        var segments: Set<Bool> = []
        var truncates: Set<[Bool]> = []
        var messages: Set<Bool> = []
        var streamed: Set<MessageTag> = []
        for decoded in try GoldenVector.all(version: version).flatMap({ try $0.decoded().joined() }) {
            columns.formUnion((decoded.newColumns + decoded.oldColumns).map(\.kind))
            var streamedXID: TransactionID?
            switch decoded.message {
            case .insert(let insert): streamedXID = insert.streamedXID
            case .update(let update):
                streamedXID = update.streamedXID
                updates.insert(update.old)
            case .delete(let delete):
                streamedXID = delete.streamedXID
                deletes.insert(delete.old)
            case .relation(let relation):
                streamedXID = relation.streamedXID
                identities.insert(relation.replicaIdentity)
            case .type(let type): streamedXID = type.streamedXID
            case .truncate(let truncate):
                streamedXID = truncate.streamedXID
                truncates.insert([truncate.cascade, truncate.restartIdentity])
            case .message(let message):
                streamedXID = message.streamedXID
                messages.insert(message.isTransactional)
            case .streamStart(let start): segments.insert(start.isFirstSegment)
            case .streamAbort(let abort): aborts.insert(abort.abortLSN == nil ? "short" : "long")
            case .begin, .commit, .origin, .streamStop, .streamCommit, .beginPrepare, .prepare, .commitPrepared,
                .rollbackPrepared, .streamPrepare:
                break
            }
            if streamedXID != nil, let tag = MessageTag(rawValue: decoded.bytes[0]) { streamed.insert(tag) }
        }
        #expect(columns == [.null, .unchanged, .text, .binary])
        #expect(updates == [.none, .key, .full])
        #expect(deletes == [.key, .full])
        #expect(identities == [.default, .nothing, .full, .index])
        // streaming=parallel exists from 16 on.
        #expect(aborts == (version < 16 ? ["short"] : ["short", "long"]))
        #expect(segments == [true, false])
        #expect(truncates == [[false, false], [false, true], [true, false], [true, true]])
        #expect(messages == [true, false])
        #expect(streamed == [.relation, .type, .insert, .update, .delete, .truncate, .message])
    }

    @Test func positionsAndTimesOfATransactionAgree() throws {
        // 2020-01-01 to 2100-01-01: a field read at the wrong place does not lie there.
        let plausible = PostgresTimestamp(631_152_000_000_000)...PostgresTimestamp(3_155_760_000_000_000)
        for vector in try GoldenVector.all() {
            var begin: Begin?
            var beginPrepare: BeginPrepare?
            var prepared: [TransactionID: Prepare] = [:]
            var streamed: TransactionID?
            for decoded in try vector.decoded().joined() {
                switch decoded.message {
                case .begin(let message):
                    begin = message
                    #expect(plausible.contains(message.commitTimestamp))
                case .commit(let commit):
                    #expect(commit.commitLSN == begin?.finalLSN)
                    #expect(commit.endLSN > commit.commitLSN)
                    #expect(commit.commitTimestamp == begin?.commitTimestamp)
                case .streamStart(let start): streamed = start.xid
                case .streamCommit(let commit):
                    #expect(commit.xid == streamed)
                    #expect(commit.endLSN > commit.commitLSN)
                    #expect(plausible.contains(commit.commitTimestamp))
                case .streamAbort(let abort):
                    #expect(abort.xid == streamed)
                    #expect(abort.abortLSN != .invalid)
                    #expect(abort.abortTimestamp.map { plausible.contains($0) } ?? true)
                case .beginPrepare(let message): beginPrepare = message
                case .prepare(let prepare):
                    #expect(prepare.prepareLSN == beginPrepare?.prepareLSN)
                    #expect(prepare.endLSN == beginPrepare?.endLSN)
                    #expect(prepare.endLSN > prepare.prepareLSN)
                    #expect(prepare.prepareTimestamp == beginPrepare?.prepareTimestamp)
                    #expect(plausible.contains(prepare.prepareTimestamp))
                    #expect(prepare.xid == beginPrepare?.xid)
                    prepared[prepare.xid] = prepare
                case .streamPrepare(let prepare):
                    #expect(prepare.xid == streamed)
                    #expect(prepare.endLSN > prepare.prepareLSN)
                    #expect(plausible.contains(prepare.prepareTimestamp))
                case .commitPrepared(let commit):
                    #expect(prepared[commit.xid] != nil || commit.xid == streamed)
                    #expect(commit.endLSN > commit.commitLSN)
                    #expect(plausible.contains(commit.commitTimestamp))
                case .rollbackPrepared(let rollback):
                    let prepare = try #require(prepared[rollback.xid])
                    #expect(rollback.prepareEndLSN == prepare.endLSN)
                    #expect(rollback.prepareTimestamp == prepare.prepareTimestamp)
                    #expect(rollback.rollbackEndLSN > prepare.endLSN)
                    #expect(rollback.rollbackTimestamp > rollback.prepareTimestamp)
                case .message(let message):
                    #expect(message.lsn.isValid)
                    if let begin, message.isTransactional, message.streamedXID == nil {
                        #expect(message.lsn <= begin.finalLSN)
                    }
                case .origin, .relation, .type, .insert, .update, .delete, .truncate, .streamStop: break
                }
            }
        }
    }
}
