"""PostgreSQL's types, with values of them that are easily got wrong and a source of random ones, all as input text.

Texts, not Python's values: what PostgreSQL reads is what is inserted, and what it then says of the row is the judge.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from random import Random


@dataclass
class Type:
    """A type by its SQL name. `setup` creates it. `hard` holds texts of at least 20 values that PostgreSQL tells apart, or of all
    `domain` values where there are no more; `random` makes another."""

    name: str
    hard: list[str]
    random: Callable[[Random], str]
    setup: list[str] = field(default_factory=list)
    domain: int | None = None


# Texts

_TEXTS = ["", " ", "plain", "NULL", "null", "{}", "{", "}", ",", "()", '"', '"quoted"', "back\\slash", "\\", '\\"',
          "a\nb\r\nc\td", "\x01\x02\x08\x0b\x0c\x1f\x7f", "é 漢 😀 \u2028", "</script>", "'", "a,b", "(1,2)", "x" * 5000,
          "\x01" * 700, '"\\' * 700, "\u00e9", "e\u0301", "\ufeffbom", "[1:2]={a,b}", "=>"]
_ALPHABET = list("ab N{}()[]\\\"',;:=>\t\n\r\x01\x1f\x7f/é漢😀%") + ["NULL", "\\\\", '""']


def _text(random: Random, longest: int = 40) -> str:
    return "".join(random.choice(_ALPHABET) for _ in range(random.randrange(longest)))


def _words(random: Random) -> str:
    return "".join(random.choice("abcdefgh XYZ-_é") for _ in range(random.randrange(1, 12)))


# Numbers

def _integers(bits: int) -> list[str]:
    top = 2 ** (bits - 1)
    return [str(n) for n in [0, 1, -1, 9, 10, -10, 99, 100, top - 1, -top, top - 2, -top + 1, top // 2, -top // 2, 7, 42,
                             -99, 127, -128, 1000, -1000, 12345, -12345]]


def _integer(bits: int) -> Callable[[Random], str]:
    return lambda random: str(random.randrange(-2 ** (bits - 1), 2 ** (bits - 1)) >> random.randrange(bits))


_NUMERICS = ["0", "0.00", "-0.5", "12.50", "1e-1000", "1e999", "7" * 1000 + "." + "3" * 500, "NaN", "Infinity", "-Infinity",
             "9" * 1000, "-" + "9" * 1000, "0." + "0" * 300 + "1", "1", "-1", "10", "100.0", "1e10", "1e-10",
             "12345678901234567890.123456789", "-0", "0.1", "1e400"]
_FLOATS = ["0", "-0", "0.1", "1.5", "1e22", "1e-5", "1e-4", "1e15", "1e16", "123456789012345680", "1e6", "NaN", "Infinity",
           "-Infinity", "3.4028235e38", "1e-37", "1.17549435e-38", "0.30000000000000004", "100", "1e5", "-1e5", "33554432",
           "16777217", "2.5e-3"]
_DOUBLES = _FLOATS + ["1e308", "5e-324", "1.7976931348623157e308", "2.2250738585072014e-308", "9007199254740993", "1e-300"]


def _numeric(random: Random) -> str:
    digits = str(random.randrange(10 ** random.randrange(1, 60)))
    text = digits[:-3] + "." + digits[-3:] if len(digits) > 3 and random.random() < 0.6 else digits
    return random.choice(["", "-"]) + (text if not text.startswith(".") else "0" + text)


def _float(random: Random) -> str:
    return repr(random.uniform(-1, 1) * 10 ** random.randrange(-30, 30))


# Times

_DATES = ["2026-11-23", "infinity", "-infinity", "0044-03-15 BC", "5874897-12-31", "4713-11-24 BC", "1970-01-01", "2000-02-29",
          "1999-12-31", "0001-01-01", "0001-12-31 BC", "9999-12-31", "10000-01-01", "1582-10-15", "1900-03-01", "2038-01-19",
          "epoch", "2024-02-29", "1752-09-14", "294276-12-31", "1969-12-31"]
_TIMES = ["00:00:00", "24:00:00", "23:59:59.999999", "12:34:56.7", "00:00:00.000001", "01:02:03.1", "01:02:03.12",
          "01:02:03.120", "12:00", "allballs", "11:59 PM", "12:00 AM", "04:05:06.789", "235959", "00:00:59.5", "10:10:10.10",
          "13:30", "00:00:01", "23:00:00.5", "07:07:07.777777", "00:00:00.01", "00:00:00.02", "01:01:01", "02:02:02", "03:03:03.25", "04:04:04.75",
          "05:05", "06:06:06.60", "08:08:08.08", "09:09:09.9"]
_ZONES = ["+00", "+05:30", "-03", "+14", "-11:45", "+15:59:59", "-15:59", "Z", "+01:02:03"]
_INTERVALS = ["1 year 2 mons -3 days 04:05:06.789", "-1 day", "0", "178000000 years", "1 mon", "-1 mon +1 day", "00:00:00.000001",
              "-00:00:00.5", "1 day -00:00:01", "100 hours", "P1Y2M3DT4H5M6S", "1.5 years", "1 week", "-178000000 years",
              "3 days ago", "25:00:00", "1 year -1 day", "12 mons", "13 mons 30 days", "1 microsecond", "1 century"]


def _moment(random: Random) -> datetime:
    return datetime(1, 1, 1) + timedelta(seconds=random.randrange(315_000_000_000),
                                         microseconds=random.choice([0, 500_000, 1, 123_456, 100, 999_999]))


def _era(moment: datetime, random: Random) -> str:
    # PostgreSQL's calendar begins in 4714 BC; the leap years before it are others.
    return " BC" if moment.year < 4700 and (moment.month, moment.day) != (2, 29) and random.random() < 0.3 else ""


def _date(random: Random) -> str:
    moment = _moment(random)
    return moment.date().isoformat() + _era(moment, random)


def _time(random: Random) -> str:
    return _moment(random).time().isoformat()


def _timestamp(random: Random) -> str:
    moment = _moment(random)
    return moment.isoformat(" ") + _era(moment, random)


def _timestamptz(random: Random) -> str:
    return f"{_moment(random).isoformat(' ')}{random.choice(_ZONES[:6])}"


def _interval(random: Random) -> str:
    return (f"{random.randrange(-99, 99)} years {random.randrange(-11, 12)} mons {random.randrange(-40, 40)} days "
            f"{random.choice(['', '-'])}{random.randrange(200)}:{random.randrange(60):02}:{random.randrange(60):02}.{random.randrange(10**6):06}")


_PLAIN_TIMESTAMPS = ["2026-11-23 07:09:12.123456", "1970-01-01 00:00:00", "2000-02-29 23:59:59.999999", "1999-12-31 12:34:56.7",
                     "0001-01-01 00:00:00.000001", "9999-12-31 01:02:03.1", "10000-01-01 01:02:03.12", "1582-10-15 01:02:03.120",
                     "1900-03-01 11:59 PM", "2038-01-19 03:14:07", "2024-02-29 12:00 AM", "1752-09-14 04:05:06.789"]
_TIMESTAMPS = list(_PLAIN_TIMESTAMPS)
_TIMESTAMPS += ["infinity", "-infinity", "0044-03-15 12:00:00 BC", "294276-12-31 23:59:59.999999", "4713-11-24 00:00:00 BC",
                "2026-11-23", "1999-12-31 24:00:00", "epoch", "2026-01-01 00:00:00.100", "1883-11-18 12:03:58"]


# Documents

_JSONS = ['{"a" : 1.50,\n "b":[ ]}', "null", '"x"', " 1e400 ", "[]", '"\\u0041\\ud83d\\ude00 é"', '{"a":"\\"\\\\"}', "{}", "true",
          "-0", "0.10", "[1,[2,[3,[4]]]]", '{"a":{"b":{"c":null}}}', '[ 1 , 2 ]', '""', '{"":""}', "12345678901234567890.10",
          '"\\b\\f\\n\\r\\t\\/"', '{"a":1,"a":2}', "false", '"</script>"', "[null,null]", '{"é":"😀"}']


def _json(random: Random) -> str:
    def value(depth: int):
        kind = random.randrange(7 if depth < 3 else 5)
        return [lambda: None, lambda: random.random() < 0.5, lambda: random.randrange(-10**18, 10**18), lambda: random.random(),
                lambda: _text(random, 12).replace("\0", ""), lambda: [value(depth + 1) for _ in range(random.randrange(4))],
                lambda: {_text(random, 6): value(depth + 1) for _ in range(random.randrange(4))}][kind]()

    return json.dumps(value(0), ensure_ascii=random.random() < 0.5, indent=random.choice([None, 1]))


# Networks, bits, geometry

_ADDRESSES = ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "255.255.255.255", "192.168.1.0/24", "::1", "::", "::/0", "fe80::1", "2001:db8::/32",
              "::ffff:1.2.3.4", "1.2.3.4/32", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "127.0.0.1/8", "10.1.2.3/16", "2001:db8::1/128",
              "172.16.0.0/12", "8.8.8.8", "::1/64", "1.0.0.0", "0.0.0.1/31"]
_NETWORKS = ["10.0.0.0/8", "0.0.0.0/0", "192.168.1.0/24", "::/0", "2001:db8::/32", "1.2.3.4/32", "10.1.0.0/16", "172.16.0.0/12", "::1/128",
             "fe80::/10", "127.0.0.0/8", "10.0.0.0", "192.168.1", "10.1.2", "10", "2001:db8::1", "255.255.255.255", "ff00::/8", "8.8.8.8",
             "100.64.0.0/10", "0.0.0.0", "192.0.2.0/24", "2001:db8:1::/48", "224.0.0.0/4", "fc00::/7"]


def _address(random: Random) -> str:
    return f"{'.'.join(str(random.randrange(256)) for _ in range(4))}{random.choice(['', '', '/32', '/24', '/7'])}"


def _network(random: Random) -> str:
    return f"{'.'.join(str(random.randrange(256)) for _ in range(4))}/32" if random.random() < 0.5 else (
        ":".join(f"{random.randrange(65536):x}" for _ in range(8)) + "/128")


def _mac(size: int) -> tuple[list[str], Callable[[Random], str]]:
    def make(random: Random) -> str:
        return ":".join(f"{random.randrange(256):02x}" for _ in range(size))

    fixed = [":".join([f"{n:02x}"] * size) for n in range(0, 255, 13)]
    return fixed + ["-".join(["0a"] * size)], make


def _bits(longest: int, exactly: bool) -> tuple[list[str], Callable[[Random], str]]:
    def make(random: Random) -> str:
        return "".join(random.choice("01") for _ in range(longest if exactly else random.randrange(longest)))

    seeds = Random(8)
    hard = ["0" * longest, "1" * longest] + [make(seeds) for _ in range(20)]
    return hard, make


def _coordinate(random: Random) -> str:
    return random.choice(["0", "-0", "1", "1.5", "-2.25", "1e10", "1e-7", "Infinity", repr(random.uniform(-1e6, 1e6))])


def _points(template: str, count: int, finite: bool = False) -> tuple[list[str], Callable[[Random], str]]:
    """`template` holds `p` for each of `count` points."""
    def make(random: Random) -> str:
        text = template
        for _ in range(count):
            pair = [_coordinate(random) for _ in range(2)]
            pair = ["1" if finite and part == "Infinity" else part for part in pair]
            text = text.replace("p", f"({pair[0]},{pair[1]})", 1)
        return text

    seeds = Random(9)
    return [make(seeds) for _ in range(32)], make


# Ranges

def _ranges(low: list[str], high: list[str], make_bounds: Callable[[Random], tuple[str, str]]) -> tuple[list[str], Callable[[Random], str]]:
    hard = ["empty", "(,)", "[,]"]
    for lower, upper in zip(low, high):
        hard += [f"[{lower},{upper})", f"({lower},{upper}]", f"[{lower},]", f"(,{upper})", f"[{upper},{upper}]"]

    def make(random: Random) -> str:
        if random.random() < 0.05:
            return "empty"
        lower, upper = make_bounds(random)
        return random.choice("[(") + random.choice([lower, lower, ""]) + "," + random.choice([upper, upper, ""]) + random.choice("])")

    return hard, make


def _number_bounds(random: Random) -> tuple[str, str]:
    low = random.randrange(-10**6, 10**6)
    return str(low), str(low + random.randrange(1, 10**6))


def _date_bounds(random: Random) -> tuple[str, str]:
    low = datetime(1900, 1, 1) + timedelta(days=random.randrange(40_000))
    return low.date().isoformat(), (low + timedelta(days=random.randrange(1, 900))).date().isoformat()


def _time_bounds(zone: str) -> Callable[[Random], tuple[str, str]]:
    def make(random: Random) -> tuple[str, str]:
        low, high = _date_bounds(random)
        return f'"{low} 01:02:03.5{zone}"', f'"{high} 04:05:06{zone}"'

    return make


def _multi(source: tuple[list[str], Callable[[Random], str]]) -> tuple[list[str], Callable[[Random], str]]:
    hard, make = source
    full = [text for text in hard if text not in ("empty",)]
    several = ["{}"] + ["{" + text + "}" for text in full] + ["{" + ",".join(full[at:at + 3]) + "}" for at in range(len(full) - 3)]
    return several, lambda random: "{" + ",".join(make(random) for _ in range(random.randrange(4))) + "}"


# What is made of other types

def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _array_text(elements: list[str | None], delimiter: str = ",") -> str:
    return "{" + delimiter.join("NULL" if element is None else _quoted(element) for element in elements) + "}"


def array_of(element: Type, delimiter: str = ",") -> Type:
    """One-dimensional arrays, some with NULLs; some of more dimensions, some with other lower bounds."""
    def make(random: Random) -> str:
        def one() -> str | None:
            return None if random.random() < 0.15 else element.random(random)

        shape = random.randrange(6)
        if shape == 0:
            width = random.randrange(1, 3)
            rows = [_array_text([one() for _ in range(width)], delimiter) for _ in range(random.randrange(1, 4))]
            return "{" + delimiter.join(rows) + "}"
        elements = [one() for _ in range(random.randrange(5))]
        if shape == 1 and elements:
            low = random.randrange(-3, 4)
            return f"[{low}:{low + len(elements) - 1}]={_array_text(elements, delimiter)}"
        return _array_text(elements, delimiter)

    hard = ["{}", "{NULL}", _array_text(list(element.hard[:5]), delimiter), _array_text([None, element.hard[0], None], delimiter),
            f"[0:1]={_array_text(list(element.hard[:2]), delimiter)}",
            "{" + delimiter.join(_array_text(list(element.hard[at:at + 2]), delimiter) for at in range(0, 4, 2)) + "}",
            "{{{{{{" + _quoted(element.hard[1]) + "}}}}}}"]
    hard += [_array_text([text, None, text], delimiter) for text in element.hard]
    if element.domain:
        hard += [_array_text(list(several), delimiter) for several in product([*element.hard[:2], None], repeat=3)]
    return Type(f"{element.name}[]", hard, make)


def _record(fields: list[str | None]) -> str:
    def one(text: str | None) -> str:
        if text is None:
            return ""
        return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'

    return "(" + ",".join(map(one, fields)) + ")"


def composite(name: str, parts: dict[str, Type]) -> Type:
    """A composite type of these columns."""
    def make(random: Random) -> str:
        return _record([None if random.random() < 0.15 else part.random(random) for part in parts.values()])

    hard = [_record([None] * len(parts)), _record([part.hard[0] for part in parts.values()])]
    hard += [_record([part.hard[at % len(part.hard)] for part in parts.values()]) for at in range(1, 25)]
    columns = ", ".join(f"{_identifier(column)} {part.name}" for column, part in parts.items())
    return Type(name, hard, make, [f"CREATE TYPE {name} AS ({columns})"])


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _domain(name: str, base: Type, check: str = "") -> Type:
    return Type(name, base.hard, base.random, [f"CREATE DOMAIN {name} AS {base.name} {check}"])


def _chosen(name: str, values: list[str], setup: list[str] | None = None, domain: int | None = None) -> Type:
    return Type(name, values, lambda random: random.choice(values), setup or [], domain)


# Numbers of objects that there are, and that there are not.
_UNKNOWN_OIDS = ["0", "1", "2", "4294967295", "2147483648", "999999999"]

# Objects with names that need care, for the types that name objects.
_ODD_NAMES = [f"odd {part} {number}" for number, part in enumerate(
    ['"', "'", ".", ",", "(x)", "{}", "\\", "é", "漢", "😀", "A", "a\nb", "a\tb", "%", "$1", "--", "/*", ";", ":", "NULL"])]


def _odd_roles() -> list[str]:
    """Roles are the whole server's: made once, whoever asks."""
    return [f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {_literal(name)}) THEN CREATE ROLE {_identifier(name)}; "
            "END IF; END $$" for name in _ODD_NAMES if "$" not in name]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _access(random: Random) -> str:
    """What a role may do with a table, as aclitem writes it: letters, some with a star."""
    letters = [letter + random.choice(["", "", "*"]) for letter in "arwdDxt" if random.random() < 0.6]
    return f"{random.choice(['', 'postgres', 'pg_monitor'])}={''.join(letters)}/{random.choice(['postgres', 'pg_monitor'])}"


def _hstore(random: Random) -> str:
    pairs = [f"{_quoted(_text(random, 8))}=>{'NULL' if random.random() < 0.2 else _quoted(_text(random, 12))}"
             for _ in range(random.randrange(5))]
    return ", ".join(pairs)


_LABELS = ["ok", 'it\'s "fine"', "é, {}", "NULL", "a b", "(x)", "back\\slash", "", "new\nline", "😀", "null", " ", "tab\t", "'", '"', "{}", ",", "漢",
           "e\u0301", "\u00e9", "OK", "x" * 63, "\x01"]
_SPELLED = ["one", "two", 'th"ree', "", " ", "null", "{}", "[1]", '"', "\\", "é", "😀", "a\nb", "a,b", "(x)", "1", "true", "x" * 60, "'", "%s", "two words"]
_CONFIGURATIONS = ["arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian", "indonesian", "irish", "italian",
                   "lithuanian", "nepali", "norwegian", "portuguese", "romanian", "russian", "simple", "spanish", "swedish", "tamil", "turkish"]
_FUNCTIONS = ["now", "pg_catalog.version", "-", "array_out", "pg_sleep", "array_in", "textin", "textout", "int4in", "int4out", "boolin", "boolout",
              "byteain", "byteaout", "namein", "nameout", "current_database", "pg_backend_pid", "clock_timestamp", "timeofday", "record_out"]
_SIGNATURES = ["now()", "abs(int4)", "abs(numeric)", "abs(float8)", "length(text)", "length(bytea)", "upper(text)", "lower(text)", "int4in(cstring)",
               "int4out(int4)", "textin(cstring)", "pg_sleep(float8)", "array_append(anycompatiblearray,anycompatible)", "to_json(anyelement)",
               "json_build_object()", "row_number()", "generate_series(int4,int4)", "generate_series(numeric,numeric)", "date_trunc(text,timestamptz)",
               "repeat(text,int4)", "md5(text)", "md5(bytea)", "-"]
_WORD_LISTS = ["a b c", "'a':1A 'b':2,3B", "", "'it''s'", "'a\\\\b'", "fat cat", "é:5", "'x y':1", "a:1,2,3,4", "The Fat Rats", "'  '", "1 2 3",
               "a a a", "z:16383", "'a\"b'", "a:1D", "b:2C c:3A", "'{}'", "'(,)'", "longword" * 8, "ä ö ü"]
_QUERIES = ["a", "a & b", "a | b", "!a", "a <-> b", "a & !(b | c)", "'it''s'", "a:*", "a:AB", "a <2> b", "(a | b) & c", "'x y'", "é", "a:*A",
            "'\"'", "!!a", "a & b & c & d", "a | (b <-> c)", "'\\\\'", "z", "foo:*B | bar"]
_PATHS = ["$", "$.a", "$[*]", "$.a[0]", "$ ? (@ > 1)", "strict $.a", "$.\"b c\"", "$.a.b.c", "$[1 to 3]", "$.a ? (@.b == \"x\")", "$.*", "$.**",
          "$.a.size()", "1 + 2", "$.a + 1", "-$.a", "$[last]", "$.a ? (@ like_regex \"^a\")", "$.a ? (exists(@.b))", "\"\\\"q\\\"\"", "true"]


def types(version: str) -> list[Type]:
    """Every type that the server of this version has, each once."""
    text = Type("text", _TEXTS, _text)
    short = Type("varchar(50)", [value[:50] for value in _TEXTS], lambda random: _text(random, 20))
    int4 = Type("int4", _integers(32), _integer(32))
    numeric = Type("numeric", _NUMERICS, _numeric)
    boolean = Type("bool", ["t", "f", "true", "false", "yes", "no", "on", "off", "1", "0", "y", "n", "TRUE", "FALSE", "tr", "fal", " true ", "T",
                            "F", "Yes", "OFF"], lambda random: random.choice("tf"), domain=2)
    moment = Type("timestamptz", [value + zone for value, zone in zip(_PLAIN_TIMESTAMPS, _ZONES[:6] * 2)] + _TIMESTAMPS[-10:], _timestamptz)
    document = Type("json", _JSONS, _json)
    binary = Type("jsonb", [value for value in _JSONS], lambda random: _json(random).replace("\\u0000", ""))
    uuid = Type("uuid", [f"{n:032x}" for n in range(0, 2**128 - 1, 2**128 // 21)], lambda random: f"{random.getrandbits(128):032x}")
    double = Type("float8", _DOUBLES, lambda random: repr(random.uniform(-1, 1) * 10 ** random.randrange(-300, 300)))
    bytea = Type("bytea", ["\\x" + value.encode().hex() for value in _TEXTS[:22]] + ["\\x00ff", "\\x", "\\x5c22"],
                 lambda random: "\\x" + random.randbytes(random.randrange(30)).hex())
    box = Type("box", *_points("p,p", 2))
    int4range = Type("int4range", *_ranges(["1", "-5", "0", "2147483646", "-2147483648", "41"], ["5", "5", "1", "2147483646", "-7", "42"], _number_bounds))
    numrange_parts = _ranges(["1.5", "-5", "0.00", "-1e10"], ["5.25", "5", "1", "1e10"], _number_bounds)
    textrange_parts = _ranges(['"a b"', '""', "a", '"A"'], ['"b"",c"', "é", "z", '"z{}"'],
                              lambda random: (f'"a{random.randrange(99)} "', f'"b{random.randrange(99)}"""'))
    mood = _chosen("mood", _LABELS, ["CREATE TYPE mood AS ENUM ({})".format(", ".join(map(_literal, _LABELS)))])
    pair = composite("pair", {"a": int4, 'say "b"': text})
    nest = composite("nest", {"p": pair, "ps": array_of(pair), "at": moment, "n": array_of(numeric), "é": boolean, "d": binary})
    price = _domain("price", Type("numeric", _NUMERICS[:5] + ["1", "-1", "2.50", "NaN"] + [str(n / 7) for n in range(20)], _numeric))
    texts = _domain("texts", array_of(text))
    pair_domain = _domain("pair_domain", pair, "CHECK ((value).a IS NULL OR (value).a IS NOT NULL)")
    found = [
        Type("int2", _integers(16), _integer(16)), int4, Type("int8", _integers(64), _integer(64)), numeric,
        Type("numeric(20,6)", [n for n in _NUMERICS if n not in ("1e999", "1e400", "Infinity", "-Infinity") and len(n) < 16]
             + ["99999999999999.999999", "1.0000005", "3", "4.5", "5", "-6.25", "7.1", "-99999999999999.999999", "0.000001", "-0.0000004", "8.25", "9"],
             lambda random: repr(random.uniform(-1e12, 1e12))),
        Type("float4", [value for value in _FLOATS], lambda random: repr(random.uniform(-1, 1) * 10 ** random.randrange(-30, 30))),
        double,
        Type("money", ["0", "-0.01", "12.50", "92233720368547758.07", "-92233720368547758.08", "$1,000.00", "1", "10", "100", "1000", "2000",
                       "0.1", "-5", "999999.99", "(5)", "1234567.89", "3.33", "42", "-42.42", "0.01", "7", "8.08", "9", "-9", "11.11"],
             lambda random: f"{random.uniform(-1e12, 1e12):.2f}"),
        boolean, text, short,
        Type("char(10)", [value[:10] for value in _TEXTS], lambda random: "".join(random.choice(_ALPHABET)[0] for _ in range(random.randrange(11)))),
        Type("name", [value.encode()[:60].decode(errors="ignore") for value in _TEXTS], lambda random: _text(random, 15)),
        Type('"char"', list("abc \"\\'{}(),;é") + ["", "\\377", "\\001", "\\200", "~", "\x7f", "1", "N"], lambda random: random.choice(list("abcXYZ\"\\{}(),") + ["\\201", "\\037"])),
        bytea, document, binary,
        Type("jsonpath", _PATHS, lambda random: f'$.{random.choice("abc")}[{random.randrange(9)}] ? (@ > {random.randrange(99)})'),
        uuid, Type("date", _DATES, _date), Type("time", _TIMES, _time), Type("time(2)", _TIMES, _time),
        Type("timetz", [f"{value}{zone}" for value, zone in zip([t for t in _TIMES if t not in ("allballs", "235959") and "M" not in t], _ZONES * 3)]
             + ["24:00:00+00", "00:00:00-15:59:59", "12:00:00+15:59:59", "1:02:03Z"], lambda random: _time(random) + random.choice(_ZONES)),
        Type("timestamp", _TIMESTAMPS, _timestamp), Type("timestamp(3)", _TIMESTAMPS, _timestamp), moment,
        Type("timestamptz(0)", moment.hard, _timestamptz), Type("interval", _INTERVALS, _interval),
        Type("interval day to second", _INTERVALS, _interval),
        Type("bit(8)", *_bits(8, True)), Type("varbit", *_bits(70, False)),
        Type("inet", _ADDRESSES, _address), Type("cidr", _NETWORKS, _network), Type("macaddr", *_mac(6)), Type("macaddr8", *_mac(8)),
        Type("point", *_points("p", 1)), Type("lseg", *_points("[p,p]", 2)), box, Type("path", *_points("[p,p,p]", 3)),
        Type("polygon", *_points("(p,p,p)", 3, finite=True)),
        Type("line", [f"{{{a},{b},{c}}}" for a, b, c in [(1, 2, 3), (0, 1, 0), (1, 0, -1), (-1.5, 2.25, 0)] + [(n, n + 1, -n) for n in range(1, 20)]],
             lambda random: f"{{{random.randrange(1, 99)},{random.uniform(-9, 9)!r},{random.randrange(-99, 99)}}}"),
        Type("circle", [f"<({n},{-n}),{n * 1.5}>" for n in range(22)], lambda random: f"<({_float(random)},{_float(random)}),{abs(float(_float(random)))!r}>"),
        Type("tsvector", _WORD_LISTS, lambda random: " ".join(f"{random.choice('abcxyz')}{random.randrange(9)}:{random.randrange(1, 99)}{random.choice('ABCD')}" for _ in range(random.randrange(5)))),
        Type("tsquery", _QUERIES, lambda random: f"{random.choice(_QUERIES)} {random.choice('&|')} ({random.choice(_QUERIES)})"),
        int4range, Type("int8range", *_ranges(["1", "-5", "0", "9223372036854775806", "-9223372036854775808", "41"],
                                              ["5", "5", "1", "9223372036854775806", "-7", "42"], _number_bounds)),
        Type("numrange", *numrange_parts), Type("daterange", *_ranges(["2026-01-01", "-infinity", "0044-03-15 BC", "2020-02-29"], ["2026-12-31", "infinity", "2026-01-01", "2020-03-01"], _date_bounds)),
        Type("tsrange", *_ranges(['"2026-01-01 00:00"', '"0044-03-15 00:00 BC"', "-infinity", '"2020-02-29 12:00"'], ['"2026-12-31 23:59:59.5"', '"2026-01-01"', "infinity", '"2020-03-01"'], _time_bounds(""))),
        Type("tstzrange", *_ranges(['"2026-01-01 00:00+05:30"', '"0044-03-15 00:00+00 BC"', "-infinity", '"2020-02-29 12:00-03"'], ['"2026-12-31 23:59:59.5+00"', '"2026-01-01"', "infinity", '"2020-03-01"'], _time_bounds("+02"))),
        Type("int4multirange", *_multi((int4range.hard, int4range.random))), Type("nummultirange", *_multi(numrange_parts)),
        Type("int8multirange", *_multi(_ranges(["1", "-5", "0", "9223372036854775806"], ["5", "5", "1", "9223372036854775806"], _number_bounds))),
        Type("tsmultirange", *_multi(_ranges(['"2026-01-01 00:00"', '"0044-03-15 00:00 BC"', "-infinity", '"2020-02-29 12:00"'],
                                             ['"2026-12-31 23:59:59.5"', '"2026-01-01"', "infinity", '"2020-03-01"'], _time_bounds("")))),
        Type("tstzmultirange", *_multi(_ranges(['"2026-01-01 00:00+05:30"', '"0044-03-15 00:00+00 BC"', "-infinity", '"2020-02-29 12:00-03"'],
                                               ['"2026-12-31 23:59:59.5+00"', '"2026-01-01"', "infinity", '"2020-03-01"'], _time_bounds("+02")))),
        Type("datemultirange", *_multi(_ranges(["2026-01-01", "2020-02-29", "1999-01-01", "-infinity"], ["2026-12-31", "2020-03-01", "infinity", "infinity"], _date_bounds))),
        Type("textrange", *textrange_parts, ["CREATE TYPE textrange AS RANGE (subtype = text)"]),
        # Made with the range, under a name that PostgreSQL makes of the range's.
        Type("textmultirange", *_multi(textrange_parts)),
        Type("oid", [str(n) for n in [0, 1, 16383, 16384, 2147483647, 2147483648, 4294967295] + list(range(20))], lambda random: str(random.randrange(2**32))),
        Type("xid", [str(n) for n in [0, 1, 3, 4294967295] + list(range(5, 22))], lambda random: str(random.randrange(2**32))),
        Type("xid8", [str(n) for n in [0, 1, 3, 2**64 - 1] + list(range(5, 22))], lambda random: str(random.randrange(2**64))),
        Type("cid", [str(n) for n in [0, 1, 3, 4294967295] + list(range(5, 22))], lambda random: str(random.randrange(2**32))),
        Type("tid", [f"({n},{n % 7})" for n in [0, 1, 4294967295] + list(range(2, 20))], lambda random: f"({random.randrange(2**32)},{random.randrange(2**16)})"),
        Type("pg_lsn", [f"{n:X}/{n * 77:X}" for n in range(21)] + ["FFFFFFFF/FFFFFFFF", "16/B374D848"], lambda random: f"{random.randrange(2**32):X}/{random.randrange(2**32):X}"),
        Type("pg_snapshot", [f"{n}:{n + 9}:{n},{n + 1}" for n in range(10, 31)], lambda random: f"{(low := random.randrange(1, 10**6))}:{low + 50}:{low + 3},{low + 7}"),
        Type("txid_snapshot", [f"{n}:{n + 9}:{n},{n + 1}" for n in range(10, 31)], lambda random: f"{(low := random.randrange(1, 10**6))}:{low + 50}:{low + 3},{low + 7}"),
        Type("int2vector", ["", "1", "1 2 3", "-1 0 1", "32767 -32768"] + [" ".join(map(str, range(n))) for n in range(2, 18)], lambda random: " ".join(str(random.randrange(-99, 99)) for _ in range(random.randrange(6)))),
        Type("oidvector", ["", "26", "1 2 3", "4294967295 0"] + [" ".join(map(str, range(n))) for n in range(2, 19)], lambda random: " ".join(str(random.randrange(2**32)) for _ in range(random.randrange(6)))),
        # text has a cast of its own to this one, which takes names only.
        _chosen("regclass", ["pg_class", "pg_type", "pg_catalog.pg_proc", "information_schema.tables", "pg_index", "tb_anchor",
                             *(f'"odd schema".{_identifier(name)}' for name in _ODD_NAMES)],
                ['CREATE TABLE tb_anchor (id INT PRIMARY KEY)', 'CREATE SCHEMA "odd schema"',
                 *(f'CREATE TABLE "odd schema".{_identifier(name)} (id INT PRIMARY KEY)' for name in _ODD_NAMES)]),
        _chosen("regtype", ["int4", "text", "numeric", "timestamptz", "int4[]", "-", '"char"', "character varying", "bpchar", "bit", "float4", "float8", "interval",
                            "time with time zone", "text[]", "regtype", "anyelement", "cstring", "pg_class", "int4range", "oidvector", *_UNKNOWN_OIDS]),
        _chosen("regproc", [*_FUNCTIONS, *_UNKNOWN_OIDS]), _chosen("regprocedure", [*_SIGNATURES, *_UNKNOWN_OIDS]),
        _chosen("regoper", [str(oid) for oid in range(85, 110)] + ["|/", "||/", "pg_catalog.||/", *_UNKNOWN_OIDS]),
        _chosen("regoperator", [str(oid) for oid in range(85, 110)] + ["+(int4,int4)", "=(text,text)", "-(none,int4)", "||/(none,float8)", *_UNKNOWN_OIDS]),
        _chosen("regnamespace", ["pg_catalog", "public", "information_schema", "-", *map(_identifier, _ODD_NAMES), *_UNKNOWN_OIDS],
                [f"CREATE SCHEMA {_identifier(name)}" for name in _ODD_NAMES]),
        _chosen("regrole", ["postgres", "-", "pg_monitor", *(_identifier(name) for name in _ODD_NAMES if "$" not in name), *_UNKNOWN_OIDS], _odd_roles()),
        _chosen("regcollation", ['"C"', '"POSIX"', '"default"', "-", *map(_identifier, _ODD_NAMES), *_UNKNOWN_OIDS],
                [f'CREATE COLLATION {_identifier(name)} FROM "C"' for name in _ODD_NAMES]),
        _chosen("regconfig", [*_CONFIGURATIONS, *_UNKNOWN_OIDS]),
        _chosen("regdictionary", ["simple", *(f"{name}_stem" for name in _CONFIGURATIONS if name != "simple"), *_UNKNOWN_OIDS]),
        Type("aclitem", sorted({_access(Random(number)) for number in range(40)}) + [f"{_identifier(name)}=r/postgres" for name in _ODD_NAMES[:8]], _access,
             _odd_roles()),
        Type("refcursor", _TEXTS, _text),
        _chosen("information_schema.yes_or_no", ["YES", "NO"], domain=2),
        mood, price, texts, pair, nest, pair_domain,
        _chosen("spelled", _SPELLED, ["CREATE TYPE spelled AS ENUM ({})".format(", ".join(map(_literal, _SPELLED))),
                "CREATE FUNCTION spell(spelled) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT json_build_object('word', $1::text, 'long', length($1::text)) $$",
                "CREATE CAST (spelled AS json) WITH FUNCTION spell(spelled)"]),
        array_of(int4), array_of(text), array_of(numeric), array_of(boolean), array_of(moment), array_of(uuid), array_of(document), array_of(binary),
        array_of(bytea), array_of(double), array_of(mood), array_of(box, ";"), array_of(int4range), array_of(pair), array_of(nest), array_of(price),
        array_of(texts), array_of(Type("spelled", _SPELLED, lambda random: random.choice(_SPELLED))),
        array_of(Type("inet", _ADDRESSES, _address)), array_of(Type("date", _DATES, _date)),
        array_of(Type("int2vector", ["1 2", "", "3"] + [" ".join(map(str, range(n))) for n in range(2, 20)], lambda random: str(random.randrange(99)))),
    ]
    if version == "15":
        hstore = Type("hstore", ["", "a=>1", '"a b"=>"c d"', "a=>NULL", 'a=>"NULL"', '""=>""', '"\\""=>"\\\\"', "a=>1, b=>2", 'é=>"漢 😀"', '"{}"=>"()"']
                      + [", ".join(f'k{n}=>"{n}"' for n in range(size)) for size in range(2, 13)], _hstore, ["CREATE EXTENSION hstore"])
        found += [hstore, array_of(hstore), composite("holder", {"h": hstore, "n": int4}),
                  Type("citext", _TEXTS, _text, ["CREATE EXTENSION citext"]),
                  Type("ltree", ["", "a", "a.b", "A.b_c.1", "Top.Science"] + [".".join("abcdefgh"[:n]) for n in range(1, 9)] + [f"n{n}.x" for n in range(9)],
                       lambda random: ".".join(f"{random.choice('abc')}{random.randrange(99)}" for _ in range(random.randrange(1, 6))), ["CREATE EXTENSION ltree"]),
                  Type("xml", ["<a/>", "<a>é</a>", "<a b=\"c\">&lt;</a>", "text", "<a><b/></a>", "<!-- c --><a/>", "<a>\n</a>", "<a>]]&gt;</a>"] + [f"<n>{n}</n>" for n in range(14)],
                       lambda random: f"<a b=\"{random.randrange(99)}\">{_words(random)}</a>")]
    else:
        # The builds of 16 and 18 have this extension and no other.
        vector = Type("vector", ["[0]", "[1,2,3]", "[-1.5]", "[1e-30,1e30]", "[0.1,0.2]", "[3.4028235e38]", "[-0]", "[16777217]"]
                      + [str([n / 7 for n in range(size)]) for size in range(1, 17)],
                      lambda random: str([random.uniform(-1, 1) * 10 ** random.randrange(-5, 6) for _ in range(random.randrange(1, 9))]),
                      ["CREATE EXTENSION vector"])
        found += [vector, array_of(vector)]
    return found
