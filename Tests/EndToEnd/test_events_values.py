"""Every value as PostgreSQL itself would write it: `entity` against `to_json(row)::text`, byte for byte, type by type."""

import json
import re
import subprocess
from random import Random

import psycopg
import pytest

import stream
import typed_values
from compare import members
from servers.postgres import FOREIGN_DEFAULTS
from servers.tools import compile_locale, slotstream_binary
from tenants import tenant_maker, tenants  # noqa: F401

LEAST_TYPES = 60
LEAST_HARD = 20
RANDOM = 300


class Differences:
    """Counts what was compared, and keeps the first of what differs."""

    def __init__(self):
        # How many values each type's rows have.
        self.counts: list[int] = []
        self.found: list[str] = []

    def __str__(self):
        return (f"{len(self.counts)} types × {min(self.counts)} to {max(self.counts)} values = {sum(self.counts)}, "
                f"{len(self.found)} differences against to_json")

    def compare(self, name: str, said: list[bytes], stored: list[bytes]) -> None:
        """One type's rows, in the order of their keys."""
        self.counts.append(len(said))
        if len(said) != len(stored):
            self.found.append(f"{name}: {len(said)} rows, {len(stored)} events")
        self.found += [f"{name}: to_json says {want!r}, stored is {got!r}" for want, got in zip(said, stored) if want != got]


def _judge(tenant) -> psycopg.Connection:
    """A session with the settings of the contract, in which `to_json` is asked; all that the contract does not name is the database's."""
    connection = tenant.connect()
    for name, value in {"TimeZone": "UTC", "DateStyle": "ISO", "IntervalStyle": "postgres", "extra_float_digits": "3",
                        "bytea_output": "hex"}.items():
        connection.execute(f"SET {name} TO '{value}'")
    return connection


def test_every_type_is_written_as_to_json_writes_it(pair, tenants, seed, report):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["*"]}, "delivery": {"in_flight_bytes": "64MiB"}})
    for name, value in FOREIGN_DEFAULTS.items():
        tenant.run(f"ALTER DATABASE {tenant.name} SET {name} TO '{value}'")
    tenant.streamer.setup()
    tenant.streamer.start()
    random = Random(seed)
    types = typed_values.types(pair.postgres)
    assert len({kind.name for kind in types}) == len(types) >= LEAST_TYPES
    count = 0
    with _judge(tenant) as judge:
        for number, kind in enumerate(types):
            # Created while it runs: none of them existed when the streamer started.
            for statement in kind.setup:
                judge.execute(statement)
            judge.execute(f"CREATE TABLE tb_v{number} (id INT PRIMARY KEY, v {kind.name})")
            texts = kind.hard + [kind.random(random) for _ in range(RANDOM)] + [None]
            try:
                judge.execute(f"INSERT INTO tb_v{number} SELECT n, t::{kind.name} FROM unnest(%s::text[]) WITH ORDINALITY AS x(t, n)",
                              (texts,))
            except psycopg.Error as error:
                raise AssertionError(f"{kind.name}: PostgreSQL takes not all of the values: {error}") from None
            count += len(texts)
        tenant.wait_stored(count, 120)
        stored: dict[str, dict[int, bytes]] = {}
        for event in stream.read(tenant.nats.url, tenant.name):
            found = members(event.body)
            assert found, f"sequence {event.sequence} is no JSON object: {event.body[:300]!r}"
            table = event.subject.split(".")[-2]
            row = found["entity"]
            stored.setdefault(table, {})[int(re.match(r'\{"id":(\d+),', row)[1])] = row.encode()
        differences = Differences()
        small: dict[str, int] = {}
        for number, kind in enumerate(types):
            # PostgreSQL counts them: what two texts stand for may be one value.
            distinct = judge.execute(f"SELECT count(DISTINCT v::text) FROM tb_v{number} WHERE id <= {len(kind.hard)}").fetchone()[0]
            if kind.domain:
                small[kind.name] = distinct
            assert distinct >= (kind.domain or LEAST_HARD), f"{kind.name} has {distinct} hard values"
            said = [row[0] for row in judge.execute(
                f"SELECT convert_to(to_json(t)::text, 'UTF8') FROM tb_v{number} AS t ORDER BY id").fetchall()]
            rows = stored[f"V{number}"]
            differences.compare(kind.name, said, [rows[key] for key in sorted(rows)])
    # Of a type with two values, the same two come again.
    assert sum(1 for count in differences.counts if count >= LEAST_HARD + RANDOM) >= LEAST_TYPES
    report(f"{pair}: {differences}; hard ones of a type, all different: {LEAST_HARD} at least, {json.dumps(small)} where there are no more")
    assert not differences.found, "\n".join(differences.found[:20])
    assert tenant.streamer.metric("slotstream_unknown_type_values_total") == 0


@pytest.mark.parametrize("locale, amount", [("ja_JP", "\uffe51,234"), ("ar_KW", None), ("de_DE", None)])
def test_money_is_what_the_databases_setting_makes_of_it(pair, tenants, locale, amount):
    """Its unit and its decimals are the locale's; the role of the streamer carries another."""
    tenant = tenants(pair, setup=False)
    folder = compile_locale(locale, tenant.servers.folder / "locale")
    if tenant.postgres.environment.get("LOCPATH") != str(folder):
        tenant.postgres.environment["LOCPATH"] = str(folder)
        tenant.postgres.restart("fast")
    tenant.run("CREATE TABLE tb_till (n BIGINT PRIMARY KEY, amount MONEY, pair MONEY[])")
    tenant.run(f"ALTER DATABASE {tenant.name} SET lc_monetary TO '{locale}.utf8'")
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_till VALUES (1, 1234::money, ARRAY[1234::money, (-0.5)::numeric::money])")
    tenant.wait_stored(1)
    with _judge(tenant) as judge:
        assert judge.execute("SHOW lc_monetary").fetchone()[0] == f"{locale}.utf8"
        said, = judge.execute("SELECT to_json(t)::text FROM tb_till AS t").fetchone()
        judge.execute("SET lc_monetary TO 'C'")
        assert judge.execute("SELECT to_json(t)::text FROM tb_till AS t").fetchone()[0] != said, "the locale makes a difference"
    event, = tenant.events()
    assert members(event.body)["entity"] == said
    assert amount is None or event.json["entity"]["amount"] == amount
    assert tenant.streamer.terminate() == 0


def test_the_comparison_with_to_json_sees_a_planted_difference():
    differences = Differences()
    differences.compare("int4", [b'{"id":1,"v":1}', b'{"id":2,"v":2}'], [b'{"id":1,"v":1}', b'{"id":2,"v":3}'])
    differences.compare("text", [b"{}"], [])
    assert len(differences.found) == 2 and differences.found[0].startswith("int4") and differences.found[1].startswith("text")


def test_a_type_that_is_dropped_before_its_rows_are_read_goes_out_as_text_and_is_counted(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run("CREATE TYPE couple AS (a INT, b TEXT); CREATE TABLE tb_gone (n BIGINT PRIMARY KEY, c couple)")
    tenant.streamer.setup()
    tenant.run("INSERT INTO tb_gone VALUES (1, '(7,x)')")
    tenant.run("DROP TABLE tb_gone; DROP TYPE couple")
    tenant.streamer.start()
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity"] == {"n": 1, "c": "(7,x)"}
    assert tenant.streamer.metric("slotstream_unknown_type_values_total") == 1


def test_a_type_that_changes_in_mid_stream_is_followed(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run("CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE couple AS (a INT, b TEXT); "
               "CREATE TABLE tb_row (n BIGINT PRIMARY KEY, m mood, c couple, x INT)")
    tenant.streamer.setup()
    tenant.streamer.start()
    said = []
    with _judge(tenant) as judge:
        for statement in ("INSERT INTO tb_row VALUES (1, 'ok', '(1,x)', 1)", "ALTER TYPE mood ADD VALUE 'new \"one\"'",
                          "INSERT INTO tb_row VALUES (2, 'new \"one\"', '(2,y)', 2)", "ALTER TYPE couple ADD ATTRIBUTE c BOOL",
                          "INSERT INTO tb_row VALUES (3, 'ok', '(3,z,t)', 3)", "ALTER TABLE tb_row ALTER x TYPE TEXT USING 'was ' || x",
                          "INSERT INTO tb_row VALUES (4, 'ok', '(4,,f)', 'four')", "ALTER TABLE tb_row RENAME x TO y",
                          "INSERT INTO tb_row VALUES (5, NULL, NULL, 'five')", "ALTER TABLE tb_row DROP c, ADD z INT[] DEFAULT '{1}'",
                          "INSERT INTO tb_row VALUES (6, 'ok', 'six')", "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
                          "INSERT INTO tb_row VALUES (7, 'fine', 'seven')"):
            judge.execute(statement)
            if statement.startswith("INSERT"):
                said.append(judge.execute("SELECT to_json(t)::text FROM tb_row AS t ORDER BY n DESC LIMIT 1").fetchone()[0])
                tenant.wait_stored(len(said))
    assert [members(event.body)["entity"] for event in tenant.events()] == said


def test_a_type_and_a_table_that_are_made_in_the_transaction_that_writes_to_them_are_known(pair, tenants):
    """What is sent when it is flushed may be read before others can see it."""
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["*"]}})
    tenant.streamer.setup()
    tenant.streamer.start()
    for number in range(40):
        tenant.run(f"CREATE TYPE couple{number} AS (a INT, b TEXT); CREATE TABLE tb_{number} (k INT PRIMARY KEY, c couple{number}); "
                   f"ALTER TABLE tb_{number} REPLICA IDENTITY FULL; INSERT INTO tb_{number} VALUES ({number}, '(1,x)')")
    tenant.wait_stored(40)
    for number, event in enumerate(tenant.events()):
        assert event.json["entity"] == {"k": number, "c": {"a": 1, "b": "x"}} and event.json["entity_id"] == str(number)


def test_a_cast_that_comes_in_mid_stream_is_followed_with_the_tables_next_description(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run("CREATE TYPE word AS ENUM ('a'); CREATE TABLE tb_w (n BIGINT PRIMARY KEY, w word)")
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_w VALUES (1, 'a')")
    tenant.wait_stored(1)
    tenant.run("CREATE FUNCTION spelled(word) RETURNS json LANGUAGE sql AS $$ SELECT json_build_array($1::text) $$; "
               "CREATE CAST (word AS json) WITH FUNCTION spelled(word); ALTER TABLE tb_w ADD x INT")
    tenant.run("INSERT INTO tb_w VALUES (2, 'a')")
    tenant.wait_stored(2)
    assert [event.json["entity"]["w"] for event in tenant.events()] == ["a", ["a"]]


@pytest.mark.parametrize("name", ["hstore", "citext", "ltree", "xml"])
def test_the_extension_types_of_debian_are_among_them(name):
    assert name in {kind.name for kind in typed_values.types("15")}


def _benchmark(*arguments: str) -> str:
    """What stage-benchmark, which deploy/test builds beside the program, prints."""
    done = subprocess.run([slotstream_binary().with_name("stage-benchmark"), *arguments], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_ten_million_damaged_texts_of_structured_values_trap_nothing(seed, report):
    said = _benchmark("fuzz", "--mutations", "10000000", "--seed", str(seed))
    assert " 10000000 mutations, " in said and " 0 traps" in said
    report(f"parsers: {said.strip()}")


def test_rows_of_scalar_columns_allocate_nothing_in_release(report):
    lines = _benchmark("rows", "--cells", "2000000", "--rounds", "3").splitlines()
    assert [line.split()[0] for line in lines] == ["5", "20", "100"]
    for line in lines:
        assert ", 0 allocations for " in line, line
        report(f"rows: {line}")
