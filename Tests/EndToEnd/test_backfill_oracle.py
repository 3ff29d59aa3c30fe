"""The judge of a backfill: a good stream gives the tables, each planted fault is found; what PostgreSQL says of tables, and what the expectation
makes of types of its users."""

import asyncio
import json
import random
import shutil
import tempfile
from pathlib import Path

import pytest

import backfill_load
import stream
from administrator import Administrator
from backfill_faults import BY_A_PROGRAM, BY_HAND, Step, renumbered, row, written
from backfill_load import BackfillLoad
from backfilling import compare_with_tables
from oracles import expected
from oracles.backfilled import FNV1A_BEGIN, Backfilled, fnv1a, place
from oracles.shapes import Shape, rows, shapes
from oracles.truth import Truth
from servers.postgres import Postgres
from stream import Event, position
from test_backfill import compare_live, deployed, require_planted_are_found

_ORDER = Shape("public", "tb_order", ("id", "note", "big"), ("id",), ("id",), True, "")
_TAG = Shape("public", "tb_tag", ("label", "note"), None, (), False, "")
_ORDERS, _TAGS = 16384, 16400


def _order(identity: int, note: str = "n", big: str | None = "b") -> str:
    return row(id=identity, note=note, big=big)


def _live(operation: str, lsn: int, entity: str | None, **more) -> Step:
    return Step("live", "public.tb_order", operation, entity, lsn=lsn, **more)


def _read(entity: str, ctid: tuple[int, int], lsn: int, table: str = "public.tb_order", oid: int = _ORDERS, number: int = 1) -> Step:
    return Step("read", table, entity=entity, ctid=ctid, lsn=lsn, oid=oid, number=number)


def _good() -> tuple[list[Step], dict[str, list[str]]]:
    """Steps of a program that does everything right, and the tables at the end."""
    steps = [
        _live("INSERT", 0x1000, _order(100)),
        Step("begin"),
        _read(_order(1), (0, 1), 0x1000), _read(_order(2), (0, 2), 0x1000),
        # While row 4 is in a chunk under way; and one that is known.
        _live("UPDATE", 0x2000, _order(4, "new"), last=False), _live("UPDATE", 0x2000, _order(1, "newer")),
        _read(_order(3), (0, 3), 0x2001), _read(_order(5), (0, 6), 0x2001),
        # A key that changes, a row that goes and one that is not known yet and goes.
        _live("UPDATE", 0x3000, _order(22), before=row(id=2)), _live("DELETE", 0x3100, row(id=3)), _live("DELETE", 0x3200, row(id=9)),
        # Large values that an UPDATE leaves alone: of a row that is known, and of one that is not.
        _live("UPDATE", 0x3300, row(id=5, note="x"), unchanged=("big",)), _live("UPDATE", 0x3400, row(id=77, note="y"), unchanged=("big",)),
        _read(_order(6), (1, 8), 0x3401),
        # Read again: the walk stands where it stood.
        _read(_order(77, "y", "large"), (1, 8), 0x3402), _read(_order(8), (1, 19), 0x3402),
        # Its columns change.
        Step("restart", "public.tb_order", oid=_ORDERS, number=2),
        _live("INSERT", 0x3500, _order(101)),
        *(_read(text, (0, offset), 0x3501, number=2) for offset, text in enumerate(
            (_order(1, "newer"), _order(5, "x"), _order(6), _order(8), _order(100), _order(77, "y", "large")), 1)),
        _live("UPDATE", 0x3600, _order(6, "last")),
        _read(_order(7), (3, 9), 0x3601, number=2), _read(_order(10), (4, 5), 0x3601, number=2),
        Step("table", "public.tb_order", oid=_ORDERS, number=2, ctid=(5, 0)),
        _live("UPDATE", 0x3700, row(id=7, note="z"), unchanged=("big",)),
        Step("whole", "public.tb_tag", oid=_TAGS),
        *(_read(row(label="same", note="t"), (0, offset), 0x3701, "public.tb_tag", _TAGS) for offset in (1, 2)),
        _read(row(label="other", note="t"), (0, 3), 0x3701, "public.tb_tag", _TAGS),
        Step("table", "public.tb_tag", oid=_TAGS, ctid=(1, 0)),
        Step("live", "public.tb_tag", "INSERT", row(label="same", note="t"), lsn=0x3800),
        Step("end"),
        _live("INSERT", 0x3900, _order(102)),
    ]
    tables = {
        "public.tb_order": [_order(1, "newer"), _order(4, "new"), _order(22), _order(5, "x"), _order(77, "y", "large"), _order(6, "last"),
                            _order(8), _order(100), _order(101), _order(102), _order(7, "z"), _order(10)],
        "public.tb_tag": [row(label="same", note="t")] * 3 + [row(label="other", note="t")],
    }
    return steps, tables


STEPS, TABLES = _good()


def _judge(events: list[Event], tables: dict[str, list[str]] = TABLES):
    return Backfilled([_ORDER, _TAG]).follow(events).compare(tables)


def _kinds(events: list[Event], tables: dict[str, list[str]] = TABLES) -> set[str]:
    return {difference.kind for difference in _judge(events, tables).differences}


@pytest.fixture
def choice(seed) -> random.Random:
    """For the places where the faults are planted."""
    return random.Random(seed)


def test_finds_nothing_in_a_good_stream():
    result = _judge(written(STEPS)).require_equal()
    assert result.compared == 16


@pytest.mark.parametrize("fault", BY_A_PROGRAM)
def test_finds_what_a_program_at_fault_writes(fault, choice):
    for _ in range(20):
        steps, kinds = BY_A_PROGRAM[fault](STEPS, choice)
        assert kinds & _kinds(written(steps)), f"planted {fault}, found {_judge(written(steps)).differences}"


@pytest.mark.parametrize("fault", BY_HAND)
def test_finds_what_somebody_did_to_the_messages(fault, choice):
    for _ in range(50):
        events, kinds = BY_HAND[fault](written(STEPS), choice)
        assert kinds & _kinds(events), f"planted {fault}, found {_judge(events).differences}"


def test_a_row_that_is_missing_is_named():
    steps = [step for step in STEPS if step.entity != _order(10)]
    assert [(found.kind, found.id) for found in _judge(written(steps)).differences] == [("missing", "public.tb_order 10")]


@pytest.mark.parametrize("change", [
    {"body": (b'"backfill":{"id":"1"', b'"backfill":{"id":"2"')}, {"body": (b'"operation":"READ"', b'"operation":"INSERT"')},
    {"body": (b'"source":', b'"transaction":{"id":7},"source":')}, {"body": (b'"entity_id":"1"', b'"entity_id":"2"')},
    {"body": (b"123456+00:00", b"123456Z")}, {"subject": ("READ", "INSERT")}, {"id": (".b.1.2.", ".b.1.3.")}, {"id": (".b.1.2.", ".b.7.2.")}])
def test_finds_a_row_that_is_not_written_as_it_must_be(change):
    events = written(STEPS)
    at = next(at for at, event in enumerate(events) if event.subject.endswith(".READ"))
    for name, (old, new) in change.items():
        assert old in getattr(events[at], name)
        setattr(events[at], name, getattr(events[at], name).replace(old, new))
    assert _kinds(events) & {"shaped", "counted", "marker"}, _judge(events).differences


def test_a_message_that_is_not_chained_is_found():
    events = written(STEPS)
    events[4].expected_last = 2
    assert [(found.kind, found.sequence) for found in _judge(events).differences] == [("unchained", 5)]


def test_the_live_part_is_left_for_the_other_comparison():
    judge = Backfilled([_ORDER, _TAG]).follow(written(STEPS))
    assert [event.id.count(".b.") for event in judge.live] == [0] * 13
    assert len(judge.between) == len(STEPS) - 13 and judge.open_run is None and judge.read == 18
    assert [run.number for run in judge.runs] == [1] and judge.runs[0].finished_rows == 11


def test_what_is_numbered_anew_is_as_it_was():
    events = written(STEPS)
    assert renumbered(events) == events
    places = [place for place, event in enumerate(events) if event.subject.endswith(".Tag.READ")]
    without = renumbered(events[:places[0]] + events[places[0] + 1:])
    assert [(found.kind, found.id) for found in _judge(without).differences] == [("missing", "public.tb_tag, 1 times")]


def test_the_digest_is_fnv1a():
    # The algorithm's own test vector for `foobar`, one step on for the line feed.
    assert fnv1a(FNV1A_BEGIN, "foobar") == (0x85944171F73967E8 ^ 10) * 0x100000001B3 % 2**64


def test_ids_are_taken_apart():
    found = place("7439120938471029384.5.1.735.00000000016B3748.2.b.3.41.16384.16390.17.4")
    assert found.order == (0x16B3748, 2, 3, 41) and (found.oid, found.filenode, found.block, found.offset) == (16384, 16390, 17, 4)
    assert found.position == "7439120938471029384.5.1.735.00000000016B3748.2"
    assert place("7439120938471029384.5.1.735.00000000016B3748.2").order == (0x16B3748, 2, 0, 0)
    assert place("7439120938471029384.5.1.735.00000000016B3748.2.gap.x") is None is place(None)
    assert position("7439120938471029384.5.1.735.00000000016B3748.2.b.3.41.16384.16390.17.4") == (0x16B3748, 2)


def test_what_postgresql_says_of_tables_and_types_of_its_users():
    """The shapes of all tables of the load, and the expectation of their rows, held against `to_json`."""
    folder = Path(tempfile.mkdtemp(prefix="slotstream-e2e-"))
    folder.chmod(0o755)
    server = Postgres("16", folder / "postgres")
    try:
        server.create()
        backfill_load.make_tables(server)
        truth = Truth(server, folder, has_witness=False)
        backfill_load.fill(server, 600, 1)
        with server.connect() as connection:
            found = {shape.qualified.removeprefix("public."): shape for shape in shapes(connection, "fraiseql_events")}
            types = expected.users_types(connection)
            assert set(found) == set(backfill_load.PUBLISHED)
            keys = {name: shape.key for name, shape in found.items()}
            assert keys == backfill_load.PUBLISHED
            assert not found["tb_full"].is_toastable and found["tb_document"].is_toastable and not found["tb_price"].is_toastable
            assert found["tb_price"].columns == ("id", "a") and found["tb_person"].columns == ("id", "name")
            said = {name: sorted(rows(connection, shape)) for name, shape in found.items()}
        truth.read()
        made: dict[str, list[str]] = {name: [] for name in found}
        for event in expected.events(truth.changes(), truth.id_prefix, types=types):
            made[event.change.table.name].append(event.members["entity"])
        assert {name: sorted(texts) for name, texts in made.items()} == said
        assert all(said.values()), "none is empty"
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def _read_by_hand(deployment) -> int:
    """What a program writes that reads every table while nobody writes to any: one run, all of its messages chained behind the stream's last."""
    administrator, position, count, total = Administrator(deployment.nats.url), None, 0, 0
    last = administrator.state("fraiseql_events")["last_seq"]
    position = administrator.message("fraiseql_events", last)["headers"].split("Nats-Msg-Id: ")[1].split()[0]
    messages: list[tuple[str, str, dict | str]] = []

    def add(subject: str, oid: int, filenode: int, ctid: tuple[int, int], body: dict, entity: str | None = None) -> str:
        nonlocal count
        count += 1
        identity = f"{position}.b.1.{count}.{oid}.{filenode}.{ctid[0]}.{ctid[1]}"
        text = json.dumps({"id": identity} | body, separators=(",", ":"))
        messages.append((f"fraiseql.mutation.{subject}", identity, text if entity is None else f'{text[:-1]},"entity":{entity}}}'))
        return identity

    at = {"timestamp": "2026-11-28T07:09:12.123456+00:00"}
    with deployment.postgres.connect() as connection:
        found = shapes(connection, "fraiseql_events")
        lsn = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()[0]
        add("_slotstream.BACKFILL", 0, 0, (0, 0), at | {"operation": "BACKFILL", "backfill": {
            "id": "1", "event": "begin", "tables": [shape.qualified for shape in found]}})
        for shape in found:
            leaves = connection.execute("SELECT relid::oid::int8, pg_relation_filenode(relid)::int8, relid::text FROM pg_partition_tree(%s::regclass) WHERE isleaf "
                                        "UNION ALL SELECT oid::int8, relfilenode::int8, oid::regclass::text FROM pg_class WHERE oid = %s::regclass AND relkind = 'r' "
                                        "AND NOT relispartition ORDER BY 1", (shape.qualified, shape.qualified)).fetchall()
            for oid, filenode, leaf in leaves:
                digest, rows_read = FNV1A_BEGIN, 0
                if shape.key is None:
                    add("_slotstream.BACKFILL", oid, filenode, (0, 0), at | {"operation": "BACKFILL", "backfill": {
                        "id": "1", "event": "whole", "table": shape.qualified, "oid": oid, "pass": 1}})
                columns = shape.rows_of.split(" FROM ")[0].removeprefix("SELECT ")
                condition = " WHERE state <> 'hidden'" if shape.name == "tb_ticket" else ""
                ordered = connection.execute(f"SELECT ctid::text AS place, to_json((SELECT r FROM (SELECT {columns}) AS r))::text FROM ONLY {leaf}{condition} ORDER BY ctid")
                for ctid, entity in ordered.fetchall():
                    told = json.loads(entity)
                    body = {"entity_type": shape.entity, "operation": "READ", "backfill": {"id": "1", "lsn": lsn},
                            "source": {"database": "shop", "schema": "public", "table": shape.name}}
                    if "id" in told:
                        body["entity_id"] = str(told["id"])
                    identity = add(f"{shape.entity}.READ", oid, filenode, tuple(json.loads(f"[{ctid[1:-1]}]")), at | body, entity)
                    digest, rows_read = fnv1a(digest, identity), rows_read + 1
                total += rows_read
                add("_slotstream.BACKFILL", oid, filenode, (9_999, 0), at | {"operation": "BACKFILL", "backfill": {
                    "id": "1", "event": "table", "table": shape.qualified, "oid": oid, "pass": 1, "rows": rows_read, "digest": f"{digest:016x}"}})
        add("_slotstream.BACKFILL", 0, 0, (0, 0), at | {"operation": "BACKFILL", "backfill": {"id": "1", "event": "end", "rows": total}})

    async def publish() -> None:
        connection = await stream.connect(deployment.nats.url)
        try:
            for number, (subject, identity, text) in enumerate(messages):
                await connection.jetstream().publish(subject, text.encode(), headers={
                    "Nats-Msg-Id": identity, "Nats-Expected-Last-Sequence": str(last + number)})
        finally:
            await connection.close()

    asyncio.run(publish())
    return total


def test_what_was_read_while_nobody_wrote_is_equal_and_faults_in_it_are_found(oldest_pair, deploy, seed, report):
    deployment = deployed(deploy, oldest_pair, 3_000, seed)
    for part in (1, 2):
        deployment.streamer.start()
        BackfillLoad(deployment.postgres, 600, 3_000, seed + part).start().finish()
        deployment.wait_confirmed()
        assert deployment.streamer.terminate() == 0
        deployment.wait_slot_free()
        if part == 1:
            read = _read_by_hand(deployment)
    events = list(stream.read(deployment.nats.url))
    with deployment.postgres.connect() as connection:
        judge, result = compare_with_tables(connection, "fraiseql_events", events)
        result.require_equal()
    live = compare_live(deployment, judge)
    report(f"{oldest_pair}: {read} rows read by hand, {result.compared} rows folded and compared, {live.compared} live events compared, 0 differences")
    require_planted_are_found(deployment, events, random.Random(seed), report)
