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

/// An authority of our own with a server's and a client's certificate, made by `openssl`.
struct Certificates {
    let folder: URL

    init(in folder: URL) throws {
        self.folder = folder
        try authority("ca")
        try authority("other-ca")
        try certificate("server", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        try certificate("elsewhere", "subjectAltName=DNS:elsewhere.example")
        try certificate("client", "extendedKeyUsage=clientAuth")
    }

    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    private func authority(_ name: String) throws {
        _ = try output(of: 
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=\(name)", "-keyout", path("\(name).key"), "-out", path("\(name).pem"),
            ])
    }

    private func certificate(_ name: String, _ `extension`: String) throws {
        _ = try output(of: 
            "/usr/bin/openssl",
            [
                "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=\(name)",
                "-keyout", path("\(name).key"), "-out", path("\(name).csr"),
            ])
        try `extension`.write(toFile: path("\(name).ext"), atomically: true, encoding: .utf8)
        _ = try output(of: 
            "/usr/bin/openssl",
            [
                "x509", "-req", "-days", "2", "-in", path("\(name).csr"), "-CA", path("ca.pem"), "-CAkey",
                path("ca.key"), "-CAcreateserial", "-extfile", path("\(name).ext"), "-out", path("\(name).pem"),
            ])
    }
}
