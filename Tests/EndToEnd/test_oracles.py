"""The oracles themselves: what we expect of an event is what PostgreSQL's own to_json says, and the two decoders agree."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from oracles import expected
from oracles.changes import UNCHANGED, OracleError
from oracles.truth import Truth
from servers.postgres import Postgres

# Every type that the expectation can render, with values that are easily got wrong.
_TYPES = {
    "a_small": ("smallint", ["-32768", "7", None]),
    "an_int": ("integer", ["2147483647", "0", None]),
    "a_big": ("bigint", ["-9223372036854775808", "9007199254740993", None]),
    "a_real": ("real", ["1.1", "NaN", "-Infinity"]),
    "a_double": ("double precision", ["0.1", "1e300", "Infinity"]),
    "a_numeric": ("numeric", ["12345678901234567890.123456789", "NaN", "0.10"]),
    "a_bool": ("boolean", ["t", "f", None]),
    "a_text": ("text", ["", 'a "quote", a \\, a /, a \t', "new\nline \u0001 \u007f é 🦄"]),
    "a_varchar": ("varchar(20)", ["x", "it's", None]),
    "a_char": ("char(4)", ["ab", "", None]),
    "a_uuid": ("uuid", ["2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11", None, None]),
    "a_date": ("date", ["2026-11-23", "infinity", "0044-03-15 BC"]),
    "a_time": ("time", ["07:09:12.5", "24:00:00", None]),
    "an_instant": ("timestamptz", ["2026-11-23 07:09:12.123456+05:30", "-infinity", "1999-12-31 23:59:59+00"]),
    "a_moment": ("timestamp", ["2026-11-23 07:09:12", "infinity", "2026-01-01 00:00:00.100"]),
    "an_interval": ("interval", ["1 year 2 days 03:04:05.6", "-1 month", None]),
    "a_bytea": ("bytea", ["\\x00ff", "\\x", None]),
    "a_json": ("json", ['{"a" : 1.00, "b":[ 1,2 ]}', '"scalar"', "null"]),
    "a_jsonb": ("jsonb", ['{"b": 1, "a": 12345678901234567890}', "[]", None]),
    "ints": ("integer[]", ["{1,NULL,3}", "{}", None]),
    "texts": ("text[]", ['{a,"b c","NULL",NULL,"d\\"e\\\\f",""}', "{}", '{"{x}"}']),
    "bools": ("boolean[]", ["{t,f,NULL}", "{}", None]),
    "numerics": ("numeric[]", ["{1.50,NaN}", "{}", None]),
}


@pytest.fixture(params=["15", "16", "18"])
def postgres(request) -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="slotstream-e2e-"))
    folder.chmod(0o755)
    server = Postgres(request.param, folder / "postgres")
    try:
        server.create()
        yield server
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def _truth(postgres: Postgres, schema: str) -> Truth:
    postgres.run(schema)
    postgres.run("CREATE PUBLICATION fraiseql_events FOR TABLES IN SCHEMA public")
    return Truth(postgres, postgres.folder.parent)


def test_the_expected_entity_is_what_to_json_says(postgres):
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in _TYPES.items())
    truth = _truth(postgres, f"CREATE TABLE tb_thing (id INTEGER PRIMARY KEY, {columns})")
    rows = list(zip(*(values for _, values in _TYPES.values())))
    with postgres.connect() as connection:
        for identity, row in enumerate(rows):
            casts = ", ".join(f"%s::text::{kind}" for kind, _ in _TYPES.values())
            connection.execute(f"INSERT INTO tb_thing VALUES (%s, {casts})", (identity, *row))
        said = [row[0] for row in connection.execute("SELECT to_json(t)::text FROM tb_thing AS t ORDER BY id")]
    truth.read()
    events = list(expected.events(truth.changes(), truth.id_prefix))
    assert [event.members["entity"] for event in events] == said
    assert len(said) == 3


def test_the_decoders_agree_on_updates_deletes_toast_truncates_and_odd_names(postgres):
    truth = _truth(postgres, """
        CREATE TABLE tb_full (id INTEGER PRIMARY KEY, a TEXT, big TEXT);
        ALTER TABLE tb_full REPLICA IDENTITY FULL;
        ALTER TABLE tb_full ALTER big SET STORAGE EXTERNAL;
        CREATE TABLE tb_key (id INTEGER PRIMARY KEY, a TEXT, big TEXT);
        ALTER TABLE tb_key ALTER big SET STORAGE EXTERNAL;
        CREATE TABLE "tb_Odd ""name" (id INTEGER PRIMARY KEY, "two words" BOOLEAN, "say ""x""[y]" TEXT[]);
    """)
    postgres.run("CREATE SCHEMA elsewhere CREATE TABLE unseen (n INTEGER)")
    for statement in (
        "INSERT INTO tb_full VALUES (1, 'x: new-tuple: y', repeat('b', 9000)), (2, NULL, NULL)",
        "INSERT INTO tb_key SELECT * FROM tb_full",
        "UPDATE tb_full SET a = 'it''s'; UPDATE tb_full SET id = id + 10; INSERT INTO elsewhere.unseen VALUES (1)",
        "INSERT INTO elsewhere.unseen VALUES (2)",
        "UPDATE tb_key SET a = NULL; UPDATE tb_key SET id = id + 10",
        'INSERT INTO "tb_Odd ""name" VALUES (1, true, \'{"a b",NULL}\'), (2, NULL, NULL)',
        "DELETE FROM tb_full WHERE a IS NOT NULL; DELETE FROM tb_key",
        "BEGIN; INSERT INTO tb_key VALUES (5); SAVEPOINT s; INSERT INTO tb_key VALUES (6); ROLLBACK TO s; COMMIT",
        "BEGIN; INSERT INTO tb_key VALUES (7); ROLLBACK",
        "TRUNCATE tb_full, tb_key RESTART IDENTITY",
        "TRUNCATE tb_key CASCADE",
    ):
        postgres.run(statement)
    truth.read()
    events = list(expected.events(truth.changes(), truth.id_prefix))
    operations = [(event.change.operation, event.change.table.name) for event in events]
    assert operations.count(("INSERT", "tb_full")) == 2
    assert operations.count(("UPDATE", "tb_full")) == 4
    assert operations.count(("UPDATE", "tb_key")) == 4
    assert operations.count(("DELETE", "tb_full")) == 2
    assert operations.count(("INSERT", "tb_key")) == 3
    assert operations[-3:] in (
        [("TRUNCATE", "tb_full"), ("TRUNCATE", "tb_key"), ("TRUNCATE", "tb_key")],
        [("TRUNCATE", "tb_key"), ("TRUNCATE", "tb_full"), ("TRUNCATE", "tb_key")])
    assert json.loads(events[-1].members["truncate"]) == {"cascade": True, "restart_identity": False}
    untouched = [event for event in events if event.change.new and UNCHANGED in event.change.new]
    key = [event for event in untouched if event.change.table.name == "tb_key"]
    assert all(json.loads(event.members["unchanged"]) == ["big"] for event in key) and key
    moved = next(event for event in events if event.change.table.name == "tb_key" and "before" in event.members)
    assert json.loads(moved.members["before"]) == {"id": 1}
    assert json.loads(moved.members["changes"]) == {"id": {"old": 1, "new": 11}}
    whole = next(event for event in events if event.change.table.name == "tb_full" and "before" in event.members)
    assert "unchanged" not in whole.members and len(json.loads(whole.members["entity"])["big"]) == 9000
    assert {event.subject for event in events if "Odd" in event.change.table.name} == {
        "fraiseql.mutation.Odd%20%22name.INSERT"}


def test_a_disagreement_between_the_decoders_is_an_error():
    folder = Path(tempfile.mkdtemp(prefix="slotstream-e2e-"))
    folder.chmod(0o755)
    server = Postgres("15", folder / "postgres")
    try:
        server.create()
        truth = _truth(server, "CREATE TABLE tb_one (id INTEGER PRIMARY KEY, a TEXT)")
        server.run("INSERT INTO tb_one VALUES (1, 'original')")
        truth.read()
        spooled = folder / "test_decoding"
        spooled.write_bytes(spooled.read_bytes().replace(b"original", b"0riginal"))
        with pytest.raises(OracleError, match="0riginal"):
            list(truth.changes())
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)
