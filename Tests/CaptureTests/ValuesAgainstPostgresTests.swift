import Foundation
import Testing

@testable import Capture

/// `entity` is byte for byte what PostgreSQL's own `to_json(row)` gives: PostgreSQL is the oracle, of every type.
@Suite struct ValuesAgainstPostgresTests {
    /// A type and SQL expressions of hard values of it.
    struct Sample {
        let type: String
        let values: [String]

        init(_ type: String, _ values: String...) {
            self.type = type
            self.values = values
        }

        init(_ type: String, _ values: [String]) {
            self.type = type
            self.values = values
        }
    }

    private static let texts = [
        "''", "'plain'", "'NULL'", "'null'", "' '", "'{}'", "','", #"'"quoted"'"#, #"'back\slash'"#,
        "E'a\\nb\\r\\nc\\td'",
        "E'\\x01\\x02\\x08\\x0b\\x0c\\x1f\\x7f'", "'é 漢 😀 \u{2028}'", "'</script>'", "repeat('x', 100000)",
        "repeat(E'\\x01', 3000)", #"repeat('"\', 3000)"#,
    ]

    static let samples: [Sample] = [
        Sample("int2", "0", "-32768", "32767"), Sample("int4", "-2147483648", "2147483647"),
        Sample("int8", "-9223372036854775808", "9223372036854775807", "9007199254740993"),
        Sample(
            "numeric", "0", "0.00", "-0.5", "12.50", "'1e-1000'", "('1e999')::numeric",
            "(repeat('7', 1000) || '.' || repeat('3', 500))::numeric", "'NaN'", "'Infinity'", "'-Infinity'"),
        Sample("numeric(10,2)", "12.5", "-0.005"),
        Sample(
            "float4", "1.5", "0.1", "'-0'", "1e-40", "3.4028235e38", "1e6", "1e15", "'NaN'", "'Infinity'", "'-Infinity'"
        ),
        Sample(
            "float8", "0.1", "1e22", "123456789012345680", "1e308", "5e-324", "'-0'", "'NaN'", "'Infinity'",
            "'-Infinity'"),
        Sample("bool", "true", "false"), Sample("uuid", "'2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11'"),
        Sample("oid", "0", "4294967295"),
        Sample("text", texts), Sample("varchar", texts), Sample("varchar(7)", "''", "'é漢😀'", "'null'"),
        Sample("char(5)", "''", "'ab'", "'é'"),
        Sample("name", "''", "'a b'", "repeat('é', 31)"), Sample("\"char\"", "''", "'a'", "'\"'", "'\\377'"),
        Sample(
            "json", "'{\"a\" : 1.50,\n \"b\":[ ]}'", "'null'", "'\"x\"'", "' 1e400 '", "'[]'",
            #"'"\u0000\ud83d\ude00 é"'"#,
            #"'{"a":"\"\\"}'"#),
        Sample(
            "jsonb", "'{\"b\" : 1.50,\n \"a\":[ ]}'", "'null'", "'\"x\"'", "'1e400'", "'{}'",
            #"'"\ud83d\ude00 é \u0001"'"#,
            "'123456789012345678901234567890.10'", #"'{"a":"\"\\"}'"#),
        Sample(
            "date", "'2026-11-23'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'5874897-12-31'", "'4713-11-24 BC'"
        ),
        Sample("time", "'00:00:00'", "'24:00:00'", "'23:59:59.999999'"), Sample("time(0)", "'12:34:56.7'"),
        Sample("timetz", "'12:00:00+05:30'", "'12:00:00-15:59:59'", "'24:00:00+00'"),
        Sample(
            "timestamp", "'2026-11-23 07:09:12.123456'", "'infinity'", "'-infinity'", "'0044-03-15 12:00:00 BC'",
            "'294276-12-31 23:59:59.999999'", "'4713-11-24 00:00:00 BC'", "'2026-11-23'"),
        Sample(
            "timestamptz", "'2026-11-23 07:09:12.1+02'", "'infinity'", "'-infinity'", "'0001-01-01 00:00:00+00 BC'",
            "'294276-12-31 23:59:59.999999+00'", "'1883-11-18 12:03:58-04:56:02'"),
        Sample("timestamptz(0)", "'2026-11-23 07:09:12.7+00'"),
        Sample("interval", "'1 year 2 mons -3 days 04:05:06.789'", "'-1 day'", "'0'", "'178000000 years'"),
        Sample("bytea", "''", "'\\x00ff22'", "'\\x5c22'"),
        Sample("mood", "'ok'", "'it''s \"fine\"'", "'é, {}'", "'NULL'"),
        Sample("price", "12.50", "'NaN'"), Sample("dear_price", "1000.01"), Sample("feeling", "'ok'"),
        Sample("document", "'{\"a\" : 1}'"),
        Sample("numbers", "'{1,NULL,3}'", "'{}'"), Sample("flag", "true"), Sample("moment", "'2026-11-23 07:09:12+00'"),
        // Not shown as more than text anywhere.
        Sample("money", "12.50"), Sample("inet", "'10.0.0.1/8'"), Sample("int4range", "'[1,5)'"),
        Sample("point", "'(1,2)'"),
        Sample("bit(4)", "'1010'"), Sample("tsvector", "'a b'"), Sample("macaddr", "'08:00:2b:01:02:03'"),
        Sample("pg_lsn", "'16/B374D848'"),
    ]

    private static let types = """
        CREATE TYPE mood AS ENUM ('ok', 'it''s "fine"', 'é, {}', 'NULL');
        CREATE DOMAIN price AS numeric(10,2); CREATE DOMAIN dear_price AS price CHECK (value > 1000);
        CREATE DOMAIN feeling AS mood; CREATE DOMAIN document AS json; CREATE DOMAIN numbers AS int[];
        CREATE DOMAIN flag AS bool; CREATE DOMAIN moment AS timestamptz;
        """

    /// Whether arrays of it are shown element by element, or still as text.
    private static func isArrayCovered(_ type: String) -> Bool {
        !["numbers", "money", "inet", "int4range", "point", "bit(4)", "tsvector", "macaddr", "pg_lsn"].contains(type)
    }

    @Test func everyTypeIsWrittenAsPostgreSQLWritesIt() throws {
        var setup = Self.types
        var changes = ""
        for (index, sample) in Self.samples.enumerated() {
            let list = Self.isArrayCovered(sample.type) ? ", list \(sample.type)[]" : ""
            setup += "\nCREATE TABLE v\(index) (id int PRIMARY KEY, value \(sample.type)\(list));"
            for (place, value) in (sample.values + ["NULL"]).enumerated() {
                let array =
                    list.isEmpty ? "" : ", ARRAY[NULL, (\(value))::\(sample.type), NULL, (\(value))::\(sample.type)]"
                changes +=
                    "\nINSERT INTO v\(index) VALUES (\(place), (\(value))::\(sample.type)\(array)) RETURNING hexjson(v\(index));"
            }
            guard !list.isEmpty else { continue }
            let all = sample.values.map { "(\($0))::\(sample.type)" }.joined(separator: ", ")
            changes +=
                "\nINSERT INTO v\(index) VALUES (-1, NULL, ARRAY[\(all)]::\(sample.type)[]) RETURNING hexjson(v\(index));"
            changes += "\nINSERT INTO v\(index) VALUES (-2, NULL, '{}') RETURNING hexjson(v\(index));"
        }
        let captured = try CapturedChanges(setup: setup, changes: changes)
        let events = try captured.events()
        #expect(events.count > 250)
        try #require(events.count == captured.rows.count)
        for (event, row) in zip(events, captured.rows) {
            // Not to be parsed by Foundation, which refuses numbers that no Double holds; `value` scans it all.
            #expect(try event.value("entity") == row, "\(event.subject)")
        }
    }

    @Test func arraysOfEveryFormAreWrittenAsPostgreSQLWritesThem() throws {
        let captured = try CapturedChanges(
            setup: Self.types
                + "CREATE TABLE a (id int PRIMARY KEY, i int[], t text[], m mood[], p price[], d document[], n numeric[]);",
            changes: #"""
                INSERT INTO a VALUES (1, '{{1,2},{3,NULL}}', '{{a,"b\"c"},{"",NULL}}', '{ok,NULL}', '{1.5,NaN}', ARRAY['{"a" : "\\"}'::document], '{1.0}')
                    RETURNING hexjson(a);
                INSERT INTO a VALUES (2, '[0:1]={1,2}', '[-1:0][2:2]={{a},{b}}', '[5:5]={ok}', '{}', NULL, '{{{{{{1}}}}}}')
                    RETURNING hexjson(a);
                INSERT INTO a VALUES (3, NULL, ARRAY['{', '}', ',', ' ', 'NULL', 'null', E'\n', '\', '"', 'é'], NULL, NULL, NULL, NULL)
                    RETURNING hexjson(a);
                INSERT INTO a (id, t) SELECT 4, array_agg(repeat('"\', i)) FROM generate_series(0, 200) i RETURNING hexjson(a);
                """#)
        let events = try captured.events()
        try #require(events.count == 4)
        for (event, row) in zip(events, captured.rows) { #expect(try event.value("entity") == row) }
    }

    @Test func whatIsNotCoveredYetGoesOutAsText() throws {
        let captured = try CapturedChanges(
            setup: """
                CREATE DOMAIN flags AS bool[]; CREATE DOMAIN documents AS json[]; CREATE TYPE pair AS (a int, b text);
                CREATE TABLE c (id int PRIMARY KEY, f flags[], d documents[], p pair, ps pair[], v int2vector, b box[], r int4range[]);
                """,
            changes: #"""
                INSERT INTO c VALUES (1, ARRAY['{t,f}'::flags], ARRAY[ARRAY['{"a":1}'::json]::documents], '(1,x)', ARRAY['(1,"a b")'::pair],
                    '1 2', ARRAY['(1,1),(0,0)'::box], ARRAY['[1,5)'::int4range]);
                """#)
        let event = try #require(try captured.events().first)
        let parsed = try #require(try JSONSerialization.jsonObject(with: Data(event.payload)) as? [String: Any])
        let entity = try #require(parsed["entity"] as? [String: Any])
        #expect(entity["f"] as? [String] == ["{t,f}"])
        #expect(entity["d"] as? [String] == [#"{"{\"a\":1}"}"#])
        #expect(entity["p"] as? String == "(1,x)")
        #expect(entity["ps"] as? [String] == [#"(1,"a b")"#])
        #expect(entity["v"] as? String == "1 2")
        #expect(entity["b"] as? String == "{(1,1),(0,0)}")
        #expect(entity["r"] as? String == #"{"[1,5)"}"#)
    }

    @Test func columnNamesAreEscapedAsPostgreSQLEscapesThem() throws {
        let captured = try CapturedChanges(
            setup:
                #"CREATE TABLE n ("a""b" int, U&"c\000Ad" int, "e\f" int, "é" int, "{g}" int, "H" int, "h" int, " " int);"#,
            changes: "INSERT INTO n VALUES (1, 2, 3, 4, 5, 6, 7, 8) RETURNING hexjson(n);")
        #expect(try captured.events().first?.value("entity") == captured.rows.first)
    }
}
