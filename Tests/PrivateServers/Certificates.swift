package import Foundation

/// An authority of our own with certificates of servers and of a client, made by `openssl`, and an authority that signed none of them.
package struct Certificates {
    package let folder: URL

    package init(in folder: URL) throws {
        self.folder = folder
        try authority("ca")
        try authority("other-ca")
        try certificate("server", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        try certificate("elsewhere", "subjectAltName=DNS:elsewhere.example")
        try certificate("expired", "subjectAltName=IP:127.0.0.1,DNS:localhost", days: -1)
        try certificate("client", "extendedKeyUsage=clientAuth")
    }

    package func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    private func authority(_ name: String) throws {
        _ = try output(
            of: "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=\(name)", "-keyout", path("\(name).key"), "-out", path("\(name).pem"),
            ])
    }

    private func certificate(_ name: String, _ `extension`: String, days: Int = 2) throws {
        _ = try output(
            of: "/usr/bin/openssl",
            [
                "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=\(name)",
                "-keyout", path("\(name).key"), "-out", path("\(name).csr"),
            ])
        try `extension`.write(toFile: path("\(name).ext"), atomically: true, encoding: .utf8)
        _ = try output(
            of: "/usr/bin/openssl",
            [
                "x509", "-req", "-days", "\(days)", "-in", path("\(name).csr"), "-CA", path("ca.pem"), "-CAkey",
                path("ca.key"), "-CAcreateserial", "-extfile", path("\(name).ext"), "-out", path("\(name).pem"),
            ])
    }
}
