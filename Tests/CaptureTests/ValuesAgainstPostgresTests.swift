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
        // Not shown as more than text by to_json either.
        Sample("money", "12.50"), Sample("inet", "'10.0.0.1/8'"), Sample("int4range", "'[1,5)'"),
        Sample("point", "'(1,2)'"),
        Sample("bit(4)", "'1010'"), Sample("tsvector", "'a b'"), Sample("macaddr", "'08:00:2b:01:02:03'"),
        Sample("pg_lsn", "'16/B374D848'"), Sample("int2vector", "'1 2 -3'", "''"),
        Sample("oidvector", "'26 4294967295'"),
        Sample("box", "'(1,1),(0,0)'"), Sample("int4multirange", "'{[1,5),[7,9)}'"), Sample("regclass", "'pg_class'"),
        Sample("pair", "'(1,x)'", "'(,)'", #"ROW(2, 'a "b", \c (d) ')"#, "ROW(NULL, '')"),
        Sample(
            "nest",
            "ROW(ROW(1, 'a b')::pair, ARRAY[ROW(2, 'c,d')::pair, NULL], '2026-11-23 07:09:12+00', ARRAY[1.5, NULL])"),
        Sample("pair_domain", "'(3,\"\")'"), Sample("alone", "'()'", "ROW('x')::alone"),
        Sample("information_schema.sql_identifier", "'a'"),
    ]

    private static let types = #"""
        CREATE TYPE mood AS ENUM ('ok', 'it''s "fine"', 'é, {}', 'NULL');
        CREATE DOMAIN price AS numeric(10,2); CREATE DOMAIN dear_price AS price CHECK (value > 1000);
        CREATE DOMAIN feeling AS mood; CREATE DOMAIN document AS json; CREATE DOMAIN numbers AS int[];
        CREATE DOMAIN flag AS bool; CREATE DOMAIN moment AS timestamptz;
        CREATE TYPE pair AS (a int, "say ""b""" text); CREATE TYPE alone AS (a text);
        CREATE TYPE nest AS (p pair, ps pair[], t timestamptz, n numeric[]); CREATE DOMAIN pair_domain AS pair;
        CREATE DOMAIN flags AS bool[]; CREATE DOMAIN documents AS json[];
        """#

    @Test func everyTypeIsWrittenAsPostgreSQLWritesIt() throws {
        var setup = Self.types
        var changes = ""
        for (index, sample) in Self.samples.enumerated() {
            setup += "\nCREATE TABLE v\(index) (id int PRIMARY KEY, value \(sample.type), list \(sample.type)[]);"
            for (place, value) in (sample.values + ["NULL"]).enumerated() {
                // By way of text: ARRAY[…] of arrays, which some of these are, would be one of more dimensions.
                let text = "(\(value))::\(sample.type)::text"
                let array = "ARRAY[NULL, \(text), NULL, \(text)]::\(sample.type)[]"
                changes +=
                    "\nINSERT INTO v\(index) VALUES (\(place), (\(value))::\(sample.type), \(array)) RETURNING hexjson(v\(index));"
            }
            let all = sample.values.map { "(\($0))::\(sample.type)::text" }.joined(separator: ", ")
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

    @Test func structuresInStructuresAreWrittenAsPostgreSQLWritesThem() throws {
        let captured = try CapturedChanges(
            setup: Self.types
                + "CREATE TABLE c (id int PRIMARY KEY, f flags[], d documents[], ns nest[], b box[], r int4range[], o information_schema.sql_identifier[]);",
            changes: #"""
                INSERT INTO c VALUES (1, ARRAY['{t,f}'::flags], ARRAY[ARRAY['{"a":1}'::json]::documents],
                    ARRAY[ROW(ROW(1, 'a "b" \\c, {d}'), ARRAY[ROW(2, ''), NULL]::pair[], 'infinity', '{{1,2},{3,NaN}}')::nest, NULL],
                    ARRAY['(1,1),(0,0)'::box, NULL, '(2,2),(1,1)'], ARRAY['[1,5)'::int4range, 'empty'], '{a,"b c"}')
                    RETURNING hexjson(c);
                """#)
        let event = try #require(try captured.events().first)
        #expect(try event.value("entity") == captured.rows.first)
    }

    @Test func aCompositeThatChangesIsLookedUpAgain() throws {
        // The catalogue is asked when all has happened: of the first row it knows a field too many.
        let captured = try CapturedChanges(
            setup: "CREATE TYPE pair AS (a int, b text); CREATE TABLE c (id int PRIMARY KEY, p pair);",
            changes: """
                INSERT INTO c VALUES (1, '(1,x)'); ALTER TYPE pair ADD ATTRIBUTE more bool;
                INSERT INTO c VALUES (2, '(2,y,t)') RETURNING hexjson(c);
                """)
        let events = try captured.events()
        try #require(events.count == 2)
        #expect(try events[0].value("entity") == #"{"id":1,"p":"(1,x)"}"#)
        #expect(try events[1].value("entity") == captured.rows.first)
        // A catalogue that is behind is asked again, and then right.
        var behind = captured.catalogue
        for (oid, row) in behind.types where row.name == "pair" { behind.types[oid]?.attributes.removeLast() }
        var rig = try Rig(catalogue: behind)
        let last = captured.messages.dropLast(2)
        try rig.receive(Array(last))
        rig.catalogue = captured.catalogue
        try rig.receive(Array(captured.messages.suffix(2)))
        #expect(
            try rig.events.map { try $0.value("entity") } == [#"{"id":1,"p":{"a":1,"b":"x"}}"#, captured.rows.first])
        #expect(rig.assembler.unknownTypeValueCount == 0)
    }

    @Test func aTypeThatIsGoneGoesOutAsTextAndIsCounted() throws {
        let captured = try CapturedChanges(
            setup: "CREATE TYPE pair AS (a int, b text); CREATE TABLE c (id int PRIMARY KEY, p pair, ps pair[]);",
            changes: """
                INSERT INTO c VALUES (1, '(1,x)', '{"(2,y)"}'); DROP TABLE c; DROP TYPE pair;
                """)
        var rig = try Rig(catalogue: captured.catalogue)
        try rig.receive(captured.messages)
        #expect(try rig.events.first?.value("entity") == #"{"id":1,"p":"(1,x)","ps":"{\"(2,y)\"}"}"#)
        #expect(rig.assembler.unknownTypeValueCount == 2)
    }

    @Test func columnNamesAreEscapedAsPostgreSQLEscapesThem() throws {
        let captured = try CapturedChanges(
            setup:
                #"CREATE TABLE n ("a""b" int, U&"c\000Ad" int, "e\f" int, "é" int, "{g}" int, "H" int, "h" int, " " int);"#,
            changes: "INSERT INTO n VALUES (1, 2, 3, 4, 5, 6, 7, 8) RETURNING hexjson(n);")
        #expect(try captured.events().first?.value("entity") == captured.rows.first)
    }
}
