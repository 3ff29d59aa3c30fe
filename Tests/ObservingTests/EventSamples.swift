import Testing

@testable import Observing

/// Events as the streamer and FraiseQL write them.
enum EventSamples {
    /// An UPDATE of a table with replica identity FULL.
    static let update = #"""
        {"id":"7439.5.1.735.00000000016B3748.1","entity_type":"Order","operation":"UPDATE","entity_id":"42","timestamp":"2026-11-23T07:09:12.123456+00:00","entity":{"id":42,"status":"shipped","total":12.50,"big":9007199254740993,"discount":0.00,"qty":5,"code":"100","note":"","name":"O'Neil \"x\"","paid":true,"deleted_at":null,"tags":["a","b"],"address":{"city":"Z\u00fcrich"},"email":"user@example.com","prénom":"Ève"},"before":{"id":42,"status":"pending","total":10.00,"big":9007199254740993,"discount":0.00,"qty":5,"code":"100","note":"","name":"O'Neil \"x\"","paid":true,"deleted_at":null,"tags":["a","b"],"address":{"city":"Z\u00fcrich"},"email":"user@example.com","prénom":"Ève"},"changes":{"status":{"old":"pending","new":"shipped"},"total":{"old":10.00,"new":12.50}},"transaction":{"id":735,"lsn":"0/16B3748","ordinal":1,"last":true},"source":{"database":"shop","schema":"public","table":"tb_order"}}
        """#

    static func event(_ payload: String, id: String? = nil, subject: String? = nil) throws -> ObservedEvent {
        try #require(ObservedEvent(payload: Array(payload.utf8), messageID: id, subject: subject))
    }

    /// An INSERT of such a row.
    static func insert(_ row: String) throws -> ObservedEvent {
        try event(#"{"id":"1","entity_type":"Order","operation":"INSERT","entity_id":"42","entity":\#(row)}"#)
    }
}
