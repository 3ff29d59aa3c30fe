import Capture
import Testing

@testable import Observing

/// Definitions written as JSON, which reads as the TOML that they stand for.
enum Definitions {
    static let environment = [
        "HOOK_URL": "https://hooks.example.com/key", "SIGNING_KEY": "s3cret", "EMPTY": "", "BAD_URL": "ftp://key.example", "MAIL_USER": "mailer",
        "MAIL_PASSWORD": "m4il",
    ]

    static func value(_ json: String) throws -> ObserverValue {
        ObserverValue(try #require(JSONValue(Array(json.utf8)), "\(json)"))
    }

    static func file(_ json: String) throws -> ObserverFile {
        ObserverFile.read(try value(json), environment: environment, livePrefix: "fraiseql.mutation")
    }

    /// A file of one observer with one action.
    static func action(_ json: String) throws -> ObserverFile {
        try file(#"{"a":{"actions":[\#(json)]}}"#)
    }

    /// A file of one observer with that beside an action.
    static func observer(_ members: String) throws -> ObserverFile {
        try file(#"{"a":{\#(members),"actions":[{"type":"log","message_template":"x"}]}}"#)
    }
}
