import FoundationEssentials
import Settings
import Testing

@Suite struct FileContentsTests {
    @Test func readsRealFiles() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "slotstream-settings-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "slotstream.toml")
        try Data("source.slot = \"ä\"".utf8).write(to: file)
        #expect(FileContents.read(file.path) == .bytes(Array("source.slot = \"ä\"".utf8)))
        #expect(FileContents.read(folder.appending(path: "absent").path) == .missing)
        #expect(FileContents.read(file.path + "/below") == .unreadable("not a readable file"))
        #expect(FileContents.read(folder.path) == .unreadable("not a readable file"))
    }

    @Test func loadsFromTheWorkingDirectory() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "slotstream-settings-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data("source.slot = \"mine\"\nsource.url_file = \"url\"".utf8).write(
            to: folder.appending(path: "slotstream.toml"))
        try Data("postgres://h/d\n".utf8).write(to: folder.appending(path: "url"))
        let loaded = try Configuration.load(environment: [:], workingDirectory: folder.path)
        #expect(loaded.values.source.slot == "mine")
        #expect(loaded.values.source.url.value == "postgres://h/d")
    }
}
