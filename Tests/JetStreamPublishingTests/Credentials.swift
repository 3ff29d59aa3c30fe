import Foundation
import PrivateServers

@testable import JetStreamPublishing

/// An Ed25519 key pair in the forms of nkeys, signed with by `openssl`.
struct KeyPair {
    /// The first letter of the public key.
    enum Kind: UInt8 {
        case operatorKey = 14
        case account = 0
        case user = 20
    }

    let kind: Kind
    let seed: [UInt8]
    let publicKey: [UInt8]
    private let pem: URL

    /// A new pair whose files are in `folder`.
    init(_ kind: Kind, in folder: URL) throws {
        self.kind = kind
        pem = folder.appendingPathComponent("\(UUID().uuidString).pem")
        _ = try output(of: "/usr/bin/openssl", ["genpkey", "-algorithm", "ed25519", "-out", pem.path])
        // Both encodings end in the 32 bytes themselves.
        seed = [UInt8](try output(of: "/usr/bin/openssl", ["pkey", "-in", pem.path, "-outform", "DER"]).suffix(32))
        publicKey = [UInt8](
            try output(of: "/usr/bin/openssl", ["pkey", "-in", pem.path, "-pubout", "-outform", "DER"]).suffix(32))
    }

    var publicText: String { NKey.text([kind.rawValue << 3] + publicKey) }

    var seedText: String {
        let prefix = kind.rawValue << 3
        return NKey.text([18 << 3 | prefix >> 5, (prefix & 31) << 3] + seed)
    }

    /// A JWT about `subject`, signed by this key.
    func token(about subject: String, _ claims: [String: Any]) throws -> String {
        let body: [String: Any] = [
            "jti": UUID().uuidString, "iat": 1_700_000_000, "iss": publicText, "sub": subject, "name": subject,
            "nats": claims,
        ]
        let header = Self.base64(Data(#"{"typ":"JWT","alg":"ed25519-nkey"}"#.utf8))
        let text = header + "." + Self.base64(try JSONSerialization.data(withJSONObject: body))
        let file = pem.appendingPathExtension("in")
        try Data(text.utf8).write(to: file)
        let signature = try output(of: "/usr/bin/openssl", ["pkeyutl", "-sign", "-inkey", pem.path, "-rawin", "-in", file.path])
        return text + "." + Self.base64(signature)
    }

    private static func base64(_ data: Data) -> String {
        data.base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }
}
