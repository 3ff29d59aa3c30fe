import FoundationEssentials

// A key-value bucket is a stream `KV_<bucket>` on the subjects `$KV.<bucket>.<key>`. Source:
// nats-architecture-and-design, ADR-8.

extension JetStreamConnection {
    /// The stream that holds a bucket.
    public static func bucketStream(_ bucket: String) -> String { "KV_\(bucket)" }

    /// The subject that puts to a key go to.
    public static func bucketSubject(_ bucket: String, key: String) -> String { "$KV.\(bucket).\(key)" }

    /// The headers of a put that must follow `expectedRevision` (0: the key must not exist).
    public static func bucketHeaders(expectedRevision: UInt64) -> [(String, String)] {
        [("Nats-Expected-Last-Subject-Sequence", String(expectedRevision))]
    }

    /// Creates a bucket that keeps one revision a key, as the NATS clients make it. One that exists is left as it is.
    public func createBucket(_ name: String, replicas: Int, timeout: Duration = apiTimeout) throws(JetStreamError) {
        let stream = Self.bucketStream(try Self.checked(name))
        if try streamInfo(stream, timeout: timeout) != nil { return }
        let subject = "$JS.API.STREAM.CREATE.\(stream)"
        let configuration = BucketConfiguration(
            name: stream, subjects: [Self.bucketSubject(name, key: ">")], numReplicas: replicas)
        do throws(JetStreamError) {
            let _: (StreamInfo, [UInt8]) = try call(
                subject, try Self.encode(configuration, operation: subject), timeout: timeout)
        } catch {
            // Made by somebody else since we looked.
            if error.errCode != JetStreamErrorCode.streamNameInUse { throw error }
        }
    }

    /// Reads a key from the bucket's leader.
    public func bucketGet(
        _ bucket: String, key: String, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> BucketEntry {
        let stream = Self.bucketStream(try Self.checked(bucket))
        do throws(JetStreamError) {
            let subject = Self.bucketSubject(bucket, key: try Self.checkedKey(key))
            guard let message = try lastMessage(stream, subject: subject, timeout: timeout) else { return .keyMissing }
            if message.header("KV-Operation") != nil { return .deleted(revision: message.sequence) }
            return .value(message.payload, revision: message.sequence)
        } catch {
            if error.errCode == JetStreamErrorCode.streamNotFound { return .bucketMissing }
            throw error
        }
    }

    /// Puts a value and waits for its ack.
    ///
    /// - Parameter expectedRevision: The revision that the key must have; 0: none; nil: whatever it has.
    /// - Returns: The new revision.
    /// - Throws: `.api` with ``JetStreamErrorCode/wrongLastSequence`` if the key has another revision. After `.timedOut` or
    ///   `.notConnected` it is not known whether the value was put: read it.
    public func bucketPut(
        _ bucket: String, key: String, value: [UInt8], expectedRevision: UInt64?, timeout: Duration = apiTimeout
    ) throws(JetStreamError) -> UInt64 {
        let subject = Self.bucketSubject(try Self.checked(bucket), key: try Self.checkedKey(key))
        let headers = expectedRevision.map { Self.bucketHeaders(expectedRevision: $0) } ?? []
        return try store(value, on: subject, headers: headers, in: Self.bucketStream(bucket), timeout: timeout)
    }

    /// Named as the server names them, in its snake_case.
    private struct BucketConfiguration: Encodable {
        var name: String
        var subjects: [String]
        var numReplicas: Int
        var retention = "limits"
        var storage = "file"
        var discard = "new"
        var maxConsumers = -1
        var maxMsgs = -1
        var maxBytes = -1
        var maxAge = 0
        var maxMsgSize = -1
        var maxMsgsPerSubject = 1
        var duplicateWindow = 120_000_000_000
        var allowRollupHdrs = true
        var denyDelete = true
        var allowDirect = true
    }

    /// `key` if it can stand in a subject without matching others.
    private static func checkedKey(_ key: String) throws(JetStreamError) -> String {
        let tokens = key.split(separator: ".", omittingEmptySubsequences: false)
        guard !key.isEmpty, tokens.allSatisfy({ !$0.isEmpty }),
            key.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "*") && $0 != UInt8(ascii: ">") })
        else { throw .configuration("\"\(key)\" cannot be a key of a bucket") }
        return key
    }
}
