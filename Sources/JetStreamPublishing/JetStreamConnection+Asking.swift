import FoundationEssentials

extension JetStreamConnection {
    /// How long an answer is waited for that does not matter: a refusal comes sooner.
    private static let refusalTime: Duration = .seconds(2)

    /// Whether the account may publish to `subject`, asked by doing it: with a message that its receiver refuses.
    ///
    /// Whatever is answered, or nothing, is a yes.
    /// - Throws: `.notConnected`, `.invalidMessage`.
    public func mayPublish(
        to subject: String, _ payload: [UInt8], headers: [(String, String)] = []
    ) throws(JetStreamError) -> Bool {
        do throws(JetStreamError) {
            _ = try request(subject, payload, headers: headers, timeout: Self.refusalTime)
            return true
        } catch {
            switch error {
            case .permission: return false
            case .timedOut, .noResponders: return true
            default: throw error
            }
        }
    }

    /// Deletes a stream and all that it holds; one that is not there is no error.
    public func deleteStream(_ name: String, timeout: Duration = apiTimeout) throws(JetStreamError) {
        do throws(JetStreamError) {
            let _: (Answer, [UInt8]) = try call("$JS.API.STREAM.DELETE.\(try Self.checked(name))", timeout: timeout)
        } catch {
            if error.errCode != JetStreamErrorCode.streamNotFound { throw error }
        }
    }

    /// Deletes a key of a bucket, as the NATS clients do: by a value that says so.
    ///
    /// - Throws: `.api` with ``JetStreamErrorCode/wrongLastSequence`` if the key has another revision.
    public func bucketDelete(
        _ bucket: String, key: String, expectedRevision: UInt64, timeout: Duration = apiTimeout
    ) throws(JetStreamError) {
        let headers = Self.bucketHeaders(expectedRevision: expectedRevision) + [("KV-Operation", "DEL")]
        _ = try store(
            [], on: Self.bucketSubject(bucket, key: key), headers: headers, in: Self.bucketStream(bucket), timeout: timeout)
    }

    private struct Answer: Decodable {}
}
