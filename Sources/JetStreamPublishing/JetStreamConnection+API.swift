import FoundationEssentials

extension JetStreamConnection {
    /// How long an answer of JetStream's API may take, unless a call says otherwise.
    public static let apiTimeout: Duration = .seconds(5)

    /// Bytes of a description that an error keeps: whoever may answer on the subject decides how long it is.
    private static let descriptionByteLimit = 2 * 1_024

    private struct Envelope: Decodable {
        var error: APIError?
    }

    private struct APIError: Decodable {
        var code: Int
        var errCode: Int?
        var description: String?

        enum CodingKeys: String, CodingKey {
            case code, description
            case errCode = "err_code"
        }
    }

    /// Sends `request` to `subject` and decodes the answer.
    /// - Throws: `.api` if the answer is an error, `.malformedResponse` if it is not what `Response` reads.
    func call<Response: Decodable>(
        _ subject: String, _ request: [UInt8] = [], headers: [(String, String)] = [], timeout: Duration,
        isWanted: () -> Bool = { true }
    ) throws(JetStreamError) -> (response: Response, raw: [UInt8]) {
        let raw = try self.request(subject, request, headers: headers, timeout: timeout, isWanted: isWanted)
        return (try Self.decode(raw, operation: subject), raw)
    }

    /// Decodes an answer of JetStream's.
    static func decode<Response: Decodable>(_ raw: [UInt8], operation: String) throws(JetStreamError) -> Response {
        let data = Data(raw)
        guard let envelope = try? JSONDecoder().decode(Envelope.self, from: data) else {
            throw .malformedResponse(operation: operation)
        }
        if let error = envelope.error {
            let description = (error.description ?? "").utf8.prefix(descriptionByteLimit)
            throw .api(
                code: error.code, errCode: error.errCode ?? 0, description: String(decoding: description, as: UTF8.self),
                operation: operation)
        }
        guard let response = try? JSONDecoder().decode(Response.self, from: data) else {
            throw .malformedResponse(operation: operation)
        }
        return response
    }

    /// `request` as JSON, its names in snake_case.
    static func encode(_ request: some Encodable, operation: String) throws(JetStreamError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        guard let data = try? encoder.encode(request) else {
            throw .configuration("cannot be put into JSON: \(operation)")
        }
        return [UInt8](data)
    }

    /// `name` if it can be a stream's, bucket's or consumer's; it becomes a token of a subject.
    static func checked(_ name: String) throws(JetStreamError) -> String {
        let isName =
            !name.isEmpty && name.utf8.count <= 255
            && name.unicodeScalars.allSatisfy { scalar in
                scalar.value > 0x20 && scalar.value != 0x7F && !".*>/\\".unicodeScalars.contains(scalar)
            }
        guard isName else { throw .configuration("\"\(name)\" cannot be the name of a stream, bucket or consumer") }
        return name
    }
}
