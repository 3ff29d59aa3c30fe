import FoundationEssentials
import Testing

@testable import Settings

@Suite struct OpenSecretTests {
    private func found(_ text: String, open: Set<String>, environment: [String: String] = [:]) throws -> [OpenSecret] {
        try Configuration.load(
            environment: environment, workingDirectory: "/w",
            readFile: { path in
                switch path {
                case "/w/slotstream.toml": .bytes(Array(text.utf8))
                case "/w/fraiseql-observer.toml": .missing
                default: .bytes(Array("host=db".utf8))
                }
            }, isOpenToOthers: { open.contains($0) }
        ).openSecrets
    }

    @Test func namesEachFileWithASecretThatEverybodyCanRead() throws {
        let text = """
            [source]
            url_file = "url"
            [transport.nats]
            token_file = "/run/token"
            [transport.nats.tls]
            ca_file = "ca.pem"
            """
        #expect(
            try found(text, open: ["/w/url", "/run/token", "/w/ca.pem", "/w/slotstream.toml"]) == [
                OpenSecret(key: "source.url_file", file: "url"), OpenSecret(key: "transport.nats.token_file", file: "/run/token"),
            ])
        #expect(try found(text, open: ["/w/ca.pem"]) == [])
    }

    @Test func namesTheConfigurationFileWhereAPasswordStandsInIt() throws {
        let file = Set(["/w/slotstream.toml"])
        let inURL = "source.url = \"host=db password=hunter2\""
        #expect(try found(inURL, open: file) == [OpenSecret(key: "source.url", file: "slotstream.toml")])
        #expect(try found(inURL, open: []) == [])
        #expect(
            try found("transport.nats.url = \"nats://a:hunter2@h\"", open: file) == [
                OpenSecret(key: "transport.nats.url", file: "slotstream.toml")
            ])
        #expect(try found("source.url = \"host=db user=app\"", open: file) == [])
        #expect(try found("source.url = \"${URL}\"", open: file, environment: ["URL": "host=db password=hunter2"]) == [])
    }

    /// What others may not enter keeps them from a file, whatever its own mode is.
    @Test func aFileIsOpenWhereItAndEveryFolderAboveItAre() throws {
        let files = FileManager.default
        let folder = files.temporaryDirectory.appendingPathComponent("slotstream-open-\(UInt64.random(in: .min ... .max))").path
        let path = folder + "/secret"
        try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? files.removeItem(atPath: folder) }
        // The folders above this one may be closed: then nothing in them is open.
        let isTemporaryOpen = FilePermissions.areOpenToOthers(folder + "/..")
        #expect(files.createFile(atPath: path, contents: Data("x".utf8)))
        for (mode, folderMode, isOpen) in [(0o644, 0o755, true), (0o640, 0o755, false), (0o600, 0o755, false), (0o644, 0o750, false), (0o604, 0o711, true)] {
            try files.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            try files.setAttributes([.posixPermissions: folderMode], ofItemAtPath: folder)
            #expect(FilePermissions.areOpenToOthers(path) == (isOpen && isTemporaryOpen), "\(mode) \(folderMode)")
        }
        #expect(!FilePermissions.areOpenToOthers(folder + "/absent"))
    }
}
