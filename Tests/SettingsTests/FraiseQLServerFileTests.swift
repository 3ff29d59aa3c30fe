import Settings
import Testing

/// `fraiseql.toml`, FraiseQL's own, given for ours.
@Suite struct FraiseQLServerFileTests {
    private func complaints(_ text: String, name: String) -> [String] {
        var loading = Loading(files: ["/w/\(name)": text])
        loading.named = name
        return loading.complaints
    }

    private static let server = """
        [schema]
        name = "shop"
        [database]
        url = "${DATABASE_URL}"
        [observers]
        enabled = true
        backend = "nats"
        nats_url = "${FRAISEQL_NATS_URL}"
        """

    @Test(arguments: ["fraiseql.toml", "settings.toml"])
    func namesTheServersFileForWhatItIsInsteadOfEachKey(_ name: String) {
        #expect(
            complaints(Self.server, name: name) == [
                "\(name): this is the configuration of FraiseQL's server ([database], [observers], [schema]), and has nothing for Slotstream. "
                    + "Give Slotstream's own file: --config slotstream.toml, or --config fraiseql-observer.toml"
            ])
    }

    @Test(arguments: ["[observers]\nbackend = \"nats\"", "[observers.runtime.transport]\ntransport = \"nats\""])
    func isNotTakenForAFileOfDefaults(_ text: String) {
        let found = complaints(text, name: "any.toml")
        #expect(found.count == 1 && found[0].contains("FraiseQL's server ([observers])"), "\(found)")
    }

    @Test func tellsByTheNameAloneWhereNothingElseDoes() {
        let found = complaints("", name: "fraiseql.toml")
        #expect(found.count == 1 && found[0].contains("its name is fraiseql.toml"), "\(found)")
    }

    @Test(arguments: [
        "[source]\nslot = \"a\"", "[transport]\ntransport = \"nats\"\n[observers.welcome]\nevent = \"INSERT\"",
    ])
    func leavesOurOwnKeysAlone(_ text: String) {
        #expect(complaints(text, name: "fraiseql.toml") == [])
    }

    @Test func complainsOfAStrangeTableBesideOursAsEver() {
        let found = complaints("[source]\nslot = \"a\"\n[database]\nurl = \"x\"", name: "slotstream.toml")
        #expect(found.count == 1 && found[0].contains("database: unknown key"), "\(found)")
    }
}
