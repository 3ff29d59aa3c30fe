import Testing

@testable import Observing

@Suite struct ActionURLTests {
    @Test(arguments: [
        ("https://example.com", "https", "example.com", 443, "example.com"), ("http://example.com/a?b#c", "http", "example.com", 80, "example.com"),
        ("HTTPS://Hooks.Example.COM:8443/x", "https", "hooks.example.com", 8_443, "hooks.example.com:8443"),
        ("https://example.com:443/", "https", "example.com", 443, "example.com"),
        ("http://10.0.0.1:80/", "http", "10.0.0.1", 80, "10.0.0.1"), ("https://[2001:db8::1]/", "https", "2001:db8::1", 443, "[2001:db8::1]"),
        ("https://[::ffff:1.2.3.4]:1/", "https", "::ffff:1.2.3.4", 1, "[::ffff:1.2.3.4]:1"),
        ("https://a_b.example.com?x=1", "https", "a_b.example.com", 443, "a_b.example.com"),
        ("https://xn--zrich-kva.example/", "https", "xn--zrich-kva.example", 443, "xn--zrich-kva.example"),
    ])
    func reads(text: String, scheme: String, host: String, port: Int, authority: String) throws {
        let url = try ActionURL(text)
        #expect(url.scheme == scheme)
        #expect(url.host == host)
        #expect(url.port == port)
        #expect(url.authority == authority)
        #expect(url.value.value == text)
    }

    @Test(arguments: [
        ("", "must begin with https:// or http://"), ("example.com", "must begin with https:// or http://"),
        ("ftp://example.com", "must begin with https:// or http://"),
        ("file:///etc/passwd", "must begin with https:// or http://"), ("https:/example.com", "must begin with https:// or http://"),
        ("https://user:key@example.com/", "has a user or a password before the host; put them in a header (Authorization)"),
        ("https://good.example@evil.example/", "has a user or a password before the host; put them in a header (Authorization)"),
        (
            "https://{{ host }}/",
            "has a template: an address is fixed, nothing of an event ever becomes part of one; put the event's values in body_template"
        ),
        (
            "https://example.com/{{ id }}",
            "has a template: an address is fixed, nothing of an event ever becomes part of one; put the event's values in body_template"
        ),
        (
            "https://example.com/a b",
            "has a blank, a backslash or a character outside ASCII; write these as %XX, and a host's name in Punycode (xn--…)"
        ),
        (
            "https://zürich.example/",
            "has a blank, a backslash or a character outside ASCII; write these as %XX, and a host's name in Punycode (xn--…)"
        ),
        (
            "https://example.com\\@evil.example/",
            "has a blank, a backslash or a character outside ASCII; write these as %XX, and a host's name in Punycode (xn--…)"
        ),
        (
            "https://example.com/\r\nX: y",
            "has a blank, a backslash or a character outside ASCII; write these as %XX, and a host's name in Punycode (xn--…)"
        ),
    ])
    func saysWhatIsWrong(text: String, reason: String) {
        let error = #expect(throws: ActionURL.Refusal.self) { try ActionURL(text) }
        #expect(error?.reason == reason)
    }

    @Test(arguments: [
        "https://", "https:///x", "https://:80", "https://example.com:", "https://example.com:0", "https://example.com:65536",
        "https://example.com:x", "https://example.com:-1",
        "https://example.com:99999999999999999999", "https://[::1", "https://[]", "https://[x]", "https://[::1]x", "https://exa%6Dple.com",
        "https://a,b/", "https://.", "https://a:1:2/",
    ])
    func refusesWhatHasNoHost(text: String) {
        let error = #expect(throws: ActionURL.Refusal.self) { try ActionURL(text) }
        #expect(error?.reason.hasPrefix("has no host") == true)
    }

    @Test func takesFraiseQLsLimit() {
        let most = "https://example.com/" + String(repeating: "x", count: 2_028)
        #expect((try? ActionURL(most)) != nil)
        #expect((try? ActionURL(most + "x")) == nil)
    }

    /// A path may be a key, as Slack's are.
    @Test func isNotShown() throws {
        let url = try ActionURL("https://hooks.slack.com/services/T0/B0/secret?key=secret")
        #expect("\(url)" == "https://hooks.slack.com/…")
        var dumped = ""
        dump(url, to: &dumped)
        #expect(!dumped.contains("secret"))
        #expect(!String(reflecting: url).contains("secret"))
    }
}
