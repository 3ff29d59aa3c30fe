/// FraiseQL's signature of a webhook's body, in Stripe's shape.
package enum WebhookSignature {
    /// The header that it stands in.
    package static let headerName = "X-FraiseQL-Signature-256"

    /// `t=<unix seconds>,v1=<HMAC-SHA-256 of "t.body", lower hex>`.
    /// - Parameters:
    ///   - body: Exactly the bytes that are sent.
    ///   - hmac: HMAC-SHA-256 of a key and a message.
    package static func header(
        secret: ActionSecret, body: [UInt8], unixSeconds: Int64, hmac: (_ key: [UInt8], _ message: [UInt8]) -> [UInt8]
    ) -> String {
        let digest = hmac(Array(secret.value.utf8), Array("\(unixSeconds).".utf8) + body)
        return "t=\(unixSeconds),v1=" + digest.map { hexadecimal($0) }.joined()
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}
