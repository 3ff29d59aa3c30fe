import Testing
import WAL

@testable import PostgresReplication

@Suite struct FrameTests {
    private static let xlogData: [UInt8] =
        [UInt8(ascii: "w")] + [0, 0, 0, 1, 0, 0, 0, 2] + [0, 0, 0, 3, 0, 0, 0, 4] + [
            255, 255, 255, 255, 255, 255, 255, 254,
        ] + [7]
    private static let keepalive: [UInt8] =
        [UInt8(ascii: "k")] + [0, 0, 0, 1, 0, 0, 0, 2] + [0, 0, 0, 0, 0, 0, 0, 5] + [1]

    private func frame(_ bytes: [UInt8]) throws(PostgresError) -> ReplicationFrame {
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(PostgresError) in try ReplicationFrame(buffer) }
        }
        return try result.get()
    }

    @Test func readsBothKinds() throws {
        guard case .xlogData(LSN(0x1_0000_0002), LSN(0x3_0000_0004), PostgresTimestamp(-2)) = try frame(Self.xlogData)
        else {
            Issue.record("not as sent")
            return
        }
        guard case .keepalive(LSN(0x1_0000_0002), PostgresTimestamp(5), true) = try frame(Self.keepalive) else {
            Issue.record("not as sent")
            return
        }
    }

    @Test func everyShorterFrameIsRefused() {
        for count in 0..<Self.xlogData.count - 1 {
            guard
                case .protocolViolation = failure({ () throws(PostgresError) in
                    _ = try frame(Array(Self.xlogData.prefix(count)))
                })
            else {
                Issue.record("\(count) bytes")
                return
            }
        }
        for bytes in [Array(Self.keepalive.dropLast()), Self.keepalive + [0]] {
            guard case .protocolViolation = failure({ () throws(PostgresError) in _ = try frame(bytes) }) else {
                Issue.record("\(bytes.count) bytes")
                return
            }
        }
    }

    @Test func everyOtherFirstByteIsRefused() {
        for byte in UInt8.min...UInt8.max where byte != UInt8(ascii: "w") && byte != UInt8(ascii: "k") {
            let error = failure { () throws(PostgresError) in _ = try frame([byte] + Self.xlogData.dropFirst()) }
            #expect(error == .protocolViolation(message: "a walsender frame of 26 bytes begins with byte \(byte)"))
        }
    }

    @Test func aStatusHasTheShapeThatTheServerReads() {
        let status = StandbyStatus(
            writtenLSN: LSN(0x1_0000_0002), flushedLSN: .invalid, appliedLSN: LSN(3), replyRequested: true)
        let expected: [UInt8] =
            [UInt8(ascii: "r")] + [0, 0, 0, 1, 0, 0, 0, 2] + [0, 0, 0, 0, 0, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0, 3]
            + [0, 0, 0, 0, 0, 0, 1, 0] + [1]
        #expect(status.message(at: PostgresTimestamp(256)) == expected)
    }
}
