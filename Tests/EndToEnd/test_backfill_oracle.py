"""The judge of a backfill: a good stream gives the tables, each planted fault is found; what PostgreSQL says of tables, and what the expectation
makes of types of its users."""

import random
import shutil
import tempfile
from pathlib import Path

import pytest

import backfill_load
from backfill_faults import BY_A_PROGRAM, BY_HAND, Step, row, written
from oracles import expected
from oracles.backfilled import FNV1A_BEGIN, Backfilled, fnv1a, place
from oracles.shapes import Shape, rows, shapes
from oracles.truth import Truth
from servers.postgres import Postgres
from stream import Event, position

_ORDER = Shape("public", "tb_order", ("id", "note", "big"), ("id",), True, "")
_TAG = Shape("public", "tb_tag", ("label", "note"), None, False, "")
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
