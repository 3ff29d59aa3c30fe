import PGOutput
import Testing
import WAL

/// What the decoder keeps between messages.
@Suite struct DecoderStateTests {
    private static let streamStart: [UInt8] = [0x53, 0, 0, 0, 9, 1]
    private static let streamStop: [UInt8] = [0x45]
    private static let insert: [UInt8] = [0x49, 0, 0, 0, 1, 0x4E, 0, 1, 0x6E]
    private static let streamedInsert: [UInt8] = [0x49, 0, 0, 0, 9, 0, 0, 0, 1, 0x4E, 0, 1, 0x6E]
    private static let begin: [UInt8] =
        [0x42] + [0, 0, 0, 0, 0, 0, 0, 1] + [0, 0, 0, 0, 0, 0, 0, 0] + [0, 0, 0, 7]

    @Test func rowsCarryAnXIDOnlyBetweenStreamStartAndStreamStop() throws {
        var decoder = PGOutputDecoder()
        func xidOfRow(_ bytes: [UInt8]) throws -> TransactionID? {
            guard case .insert(let insert) = try decoder.decode(bytes) else { return TransactionID(.max) }
            #expect(insert.relationID == RelationID(1))
            return insert.streamedXID
        }
        #expect(try xidOfRow(Self.insert) == nil)
        _ = try decoder.decode(Self.streamStart)
        #expect(try xidOfRow(Self.streamedInsert) == TransactionID(9))
        #expect(throws: PGOutputError.self) { try decoder.decode(Self.insert) }
        _ = try decoder.decode(Self.streamStop)
        #expect(try xidOfRow(Self.insert) == nil)
        #expect(throws: PGOutputError.self) { try decoder.decode(Self.streamedInsert) }
    }

    @Test func transactionsNeitherBeginNorEndInsideABlock() throws {
        var decoder = PGOutputDecoder()
        #expect(throws: PGOutputError.misplacedMessage(tag: 0x45)) { try decoder.decode(Self.streamStop) }
        _ = try decoder.decode(Self.streamStart)
        #expect(throws: PGOutputError.misplacedMessage(tag: 0x53)) { try decoder.decode(Self.streamStart) }
        for tag in "BCcAbPKrp".utf8 {
            #expect(throws: PGOutputError.misplacedMessage(tag: tag)) { try decoder.decode([tag]) }
        }
        _ = try decoder.decode(Self.streamStop)
        guard case .begin = try decoder.decode(Self.begin) else {
            Issue.record("no Begin")
            return
        }
    }

    @Test func aMessageThatThrowsNeitherOpensNorClosesABlock() throws {
        var decoder = PGOutputDecoder()
        #expect(throws: PGOutputError.self) { try decoder.decode(Self.streamStart + [0]) }
        _ = try decoder.decode(Self.insert)
        _ = try decoder.decode(Self.streamStart)
        #expect(throws: PGOutputError.self) { try decoder.decode(Self.streamStop + [0]) }
        _ = try decoder.decode(Self.streamedInsert)
    }

    @Test func resetForgetsAnOpenBlock() throws {
        var decoder = PGOutputDecoder()
        _ = try decoder.decode(Self.streamStart)
        decoder.reset()
        _ = try decoder.decode(Self.insert)
        _ = try decoder.decode(Self.begin)
    }

    @Test func eachRowReplacesTheColumnsOfTheOneBefore() throws {
        var decoder = PGOutputDecoder()
        let tuple: [UInt8] = [0, 1, 0x74, 0, 0, 0, 1, 0x61]
        _ = try decoder.decode([0x55, 0, 0, 0, 1, 0x4F] + tuple + [0x4E] + tuple)
        #expect(decoder.oldColumns == [TupleColumn(kind: .text, start: 13, byteCount: 1)])
        #expect(decoder.newColumns == [TupleColumn(kind: .text, start: 22, byteCount: 1)])
        _ = try decoder.decode([0x55, 0, 0, 0, 1, 0x4E] + tuple)
        #expect(decoder.oldColumns.isEmpty)
        #expect(decoder.newColumns.count == 1)
        _ = try decoder.decode([0x44, 0, 0, 0, 1, 0x4B] + tuple)
        #expect(decoder.oldColumns.count == 1)
        #expect(decoder.newColumns.isEmpty)
        _ = try decoder.decode(Self.insert)
        #expect(decoder.oldColumns.isEmpty)
        #expect(decoder.newColumns == [TupleColumn(kind: .null, start: 0, byteCount: 0)])
    }

    @Test func columnsKeepTheirStorageFromRowToRow() throws {
        var decoder = PGOutputDecoder()
        let tuple = [0, 40] + [UInt8](repeating: 0x6E, count: 40)
        let update: [UInt8] = [0x55, 0, 0, 0, 1, 0x4F] + tuple + [0x4E] + tuple
        func storage() -> [UnsafePointer<TupleColumn>?] {
            let new = decoder.newColumns.withUnsafeBufferPointer(\.baseAddress)
            return [new, decoder.oldColumns.withUnsafeBufferPointer(\.baseAddress)]
        }
        _ = try decoder.decode(update)
        let first = storage()
        for _ in 0..<100 {
            _ = try decoder.decode(Self.insert)
            _ = try decoder.decode(update)
            #expect(storage() == first)
        }
    }
}
