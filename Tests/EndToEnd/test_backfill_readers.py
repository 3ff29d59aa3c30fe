"""What reads a stream that holds rows of a backfill and its markers: `verify`, `verify --rows`, `tail`, `replay`. The messages are made by hand, as the rules say, and stored by
a sole writer, so that every fault can be planted."""

import json
import threading
from contextlib import contextmanager

import pytest

from servers.tools import wait_until
from tenants import tenant_maker, tenants  # noqa: F401
from windows import WINDOW, wait_anchor

_TIME = "2026-11-23T07:09:12.123456+00:00"


def _digest(ids: list[str]) -> str:
    """FNV-1a of 64 bits over ids, each with a line feed behind it."""
    value = 0xCBF29CE484222325
    for byte in "".join(f"{identifier}\n" for identifier in ids).encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return f"{value:016x}"


class Run:
    """A backfill of `tb_item`, written message by message behind what the stream holds. `skew` is added to the count in the table's marker."""

    def __init__(self, tenant, number: int = 1, operation: str = "READ", skew: int = 0):
        self.tenant, self.number, self.operation, self.skew = tenant, number, operation, skew
        self.count = 0
        self.ids: list[str] = []
        self.oid = tenant.value("SELECT 'tb_item'::regclass::oid::bigint")

    def next_id(self, oid: int) -> str:
        """The id of the run's next message behind the last event."""
        event = [event for event in self.tenant.events() if ".b." not in event.id][-1]
        self.count += 1
        return f"{event.id}.b.{self.number}.{self.count}.{oid}.{oid}.0.{self.count}"

    def store(self, subject: str, identifier: str, body: dict) -> None:
        """Stores a message as the streamer does, each behind the message before it."""
        last = self.tenant.last_sequence()
        acks = []

        def stored() -> bool:
            acks.append(self.tenant.administrator.publish(f"{self.tenant.prefix}.{subject}", json.dumps({"id": identifier} | body).encode(),
                                                          Nats_Msg_Id=identifier, Nats_Expected_Last_Sequence=str(last)))
            return not acks[-1].duplicate

        wait_until(stored, 30, f"nats-server has no {identifier} in mind")
        assert acks[-1].sequence == last + 1, acks

    def marker(self, event: str, walked: int = 0, **members) -> None:
        self.store("_slotstream.BACKFILL", self.next_id(walked), {
            "operation": "BACKFILL", "timestamp": _TIME, "backfill": {"id": str(self.number), "event": event} | members})

    def row(self, n: int, lsn: str | None = None, **values) -> None:
        """The row with this key as it is now, or with these values."""
        with self.tenant.connect() as connection:
            entity, now = connection.execute("SELECT to_json(t), pg_current_wal_insert_lsn()::text FROM tb_item t WHERE n = %s", (n,)).fetchone()
        identifier = self.next_id(self.oid)
        self.ids.append(identifier)
        self.store(f"Item.{self.operation}", identifier, {
            "entity_type": "Item", "operation": self.operation, "entity_id": str(n), "timestamp": _TIME, "entity": entity | values,
            "backfill": {"id": str(self.number), "lsn": lsn or now},
            "source": {"database": self.tenant.name, "schema": "public", "table": "tb_item"}})

    def restart(self) -> None:
        self.marker("restart", self.oid, table="public.tb_item", oid=self.oid, **{"pass": 2}, why="the table was changed")
        self.ids = []

    def end(self) -> None:
        """The table's marker and the run's."""
        rows = len(self.ids)
        self.marker("table", self.oid, table="public.tb_item", oid=self.oid, **{"pass": 1}, rows=rows + self.skew, digest=_digest(self.ids))
        self.marker("end", rows=rows)


def _older(tenants, pair, **options):
    """Rows 1 to 20 are older than the stream; 21 to 23 are its first events, and the streamer is at rest."""
    tenant = tenants(pair, setup=False, **options)
    tenant.run("INSERT INTO tb_item SELECT n, 'note ' || n FROM generate_series(1, 20) AS n")
    tenant.streamer.setup()
    tenant.streamer.start()
    if options:
        wait_anchor(tenant)
    tenant.commit_each(21, 23)
    tenant.wait_confirmed()
    return tenant


def _rested(tenant) -> None:
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()


def _whole(tenant, **options) -> Run:
    run = Run(tenant, **options)
    run.marker("begin", tables=["public.tb_item"])
    for n in range(1, 21):
        run.row(n)
    run.end()
    return run


def _said(tenant, *arguments: str, expect: int = 0) -> dict:
    return json.loads(tenant.streamer.command("verify", "--json", *arguments, expect=expect, seconds=300).stdout)


def _rows(tenant, *more: str, expect: int = 0) -> dict:
    return _said(tenant, "--rows", "public.tb_item", *more, expect=expect)


@contextmanager
def _no_standby(tenant):
    """Commits wait for a standby that there is not; gives what ends that."""

    def wait_for(names: str) -> None:
        tenant.run(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        tenant.run("SELECT pg_reload_conf()")
        wait_until(lambda: tenant.value("SHOW synchronous_standby_names") == names, 20, "the setting is in force")

    wait_for("nobody")
    try:
        yield lambda: wait_for("")
    finally:
        wait_for("")


@pytest.mark.parametrize("operation", ["READ", "INSERT"])
@pytest.mark.parametrize("format", ["slotstream", "cloudevents"])
def test_older_rows_are_known_behind_a_backfill(pair, tenants, operation, format):  # noqa: A002
    tenant = _older(tenants, pair)
    assert _rows(tenant)["rows"]["older"] == 20
    assert _rows(tenant, "--strict", expect=1)["rows"]["difference_count"] == 20
    _rested(tenant)
    run = Run(tenant, operation=operation)
    if format == "cloudevents":
        store = run.store
        run.store = lambda subject, identifier, body: store(subject, identifier, body if "entity_type" not in body else {
            "specversion": "1.0", "source": "/slotstream/1/x", "type": f"Item.{operation}", "data": {"id": identifier} | body})
    run.marker("begin", tables=["public.tb_item"])
    for n in range(1, 21):
        run.row(n)
    run.end()
    tenant.streamer.start()
    said = _rows(tenant, "--strict")
    assert said["differences"] == [] and said["rows"]["compared"] == 23, said
    assert (said["rows"]["events"], said["rows"]["read"], said["rows"]["left_out"], said["rows"]["later"]) == (3, 20, 0, 0), said
    # What comes behind the rows is what counts.
    tenant.run("UPDATE tb_item SET note = 'new' WHERE n = 3; DELETE FROM tb_item WHERE n = 4; UPDATE tb_item SET n = 50 WHERE n = 5")
    tenant.wait_confirmed()
    said = _rows(tenant, "--strict")
    assert said["differences"] == [] and said["rows"]["compared"] == 22 and said["rows"]["read"] == 20, said
    text = tenant.streamer.command("verify", "--rows", "tb_item", "--strict").stdout
    assert "read     20 rows of backfills folded" in text and "VERIFIED" in text


def test_a_row_wins_over_the_event_that_it_stands_behind_and_is_compared(pair, tenants):
    tenant = _older(tenants, pair)
    _rested(tenant)
    _whole(tenant)
    run = Run(tenant, number=2)
    run.marker("begin", tables=["public.tb_item"])
    # The last event is of row 23; the row is not as it was read.
    run.row(23, note="other")
    run.row(7, note="other")
    run.row(7)
    run.end()
    tenant.streamer.start()
    said = _rows(tenant, "--strict", expect=1)
    assert [(each["kind"], each["key"], each["columns"]) for each in said["differences"]] == [("altered", "23", ["note"])], said
    assert said["differences"][0]["sequence"] == 3 + 23 + 2


def test_rows_of_a_later_snapshot_are_left_out(pair, tenants):
    tenant = _older(tenants, pair)
    _rested(tenant)
    run = Run(tenant)
    run.marker("begin", tables=["public.tb_item"])
    for n in range(1, 20):
        run.row(n)
    run.row(20, lsn="FFFF/0")
    run.end()
    tenant.streamer.start()
    said = _rows(tenant, "--strict")
    assert (said["rows"]["read"], said["rows"]["left_out"], said["rows"]["later"], said["rows"]["compared"]) == (19, 1, 1, 22), said


def test_a_row_behind_a_change_that_the_snapshot_does_not_show_is_left_out(pair, tenants):
    """A commit that waits for a standby is decoded and stored, and no snapshot shows it: a backfill's row may show it all the same, as soon as the wait is over."""
    tenant = _older(tenants, pair)
    _rested(tenant)
    _whole(tenant)
    tenant.streamer.start()
    with _no_standby(tenant) as release:
        thread = threading.Thread(target=tenant.run, args=("UPDATE tb_item SET note = 'unseen' WHERE n = 7",))
        thread.start()
        tenant.wait_stored(3 + 23 + 1)
        tenant.wait_confirmed()
        _rested(tenant)
        run = Run(tenant, number=2)
        run.marker("begin", tables=["public.tb_item"])
        run.row(7, note="unseen")
        run.row(8)
        run.end()
        tenant.streamer.start()
        said = _rows(tenant, "--strict")
        release()
        thread.join()
    assert (said["rows"]["read"], said["rows"]["left_out"], said["rows"]["later"], said["rows"]["compared"]) == (21, 2, 0, 23), said
    said = _rows(tenant, "--strict")
    assert (said["rows"]["read"], said["rows"]["left_out"], said["differences"]) == (22, 0, []), said


def test_a_stream_with_backfills_is_verified_while_it_is_written_to(pair, tenants):
    tenant = _older(tenants, pair, overrides=WINDOW)
    _rested(tenant)
    run = Run(tenant)
    run.marker("begin", tables=["public.tb_item"])
    run.row(1)
    run.row(2)
    run.restart()
    for n in range(1, 8):
        run.row(n)
    tenant.streamer.start()
    tenant.commit_each(30, 33)
    tenant.wait_confirmed()
    _rested(tenant)
    for n in range(8, 21):
        run.row(n)
    run.end()
    _whole(tenant, number=2)
    tenant.streamer.start()
    tenant.commit_each(40, 41)
    tenant.wait_confirmed()
    said = _said(tenant)
    assert said["verified"] and said["compared"] == 9 and said["read"] == 42 and said["counts"]["backfill"] == 0, said
    text = tenant.streamer.command("verify").stdout
    assert "backfill 42 rows by their numbers and their tables' markers: 0 differences" in text and "VERIFIED from" in text
    # From the middle of a run, and of its table.
    for sequence in (2, 6, 12, 20, 35):
        assert _said(tenant, "--from-sequence", str(sequence))["verified"]
    # A sequence of a row stands for what comes behind it.
    assert _said(tenant, "--from-sequence", "10", "--to-sequence", "16")["compared"] == 2
    # Without a window the stream proves as much by itself.
    assert _said(tenant, "--slot", tenant.name)["verified"]
    # The copies of rows are in no replay.
    told = json.loads(tenant.streamer.command("replay", "--from-sequence", "1", "--into-prefix", "again", "--dry-run", "--json").stdout)
    assert told["published"] == 9 and told["by_subject"] == {"again.Item.INSERT": 9}, told


@pytest.mark.parametrize("fault", ["count", "skipped", "doubled", "moved", "deleted"])
def test_a_planted_fault_is_a_difference(pair, tenants, fault):
    tenant = _older(tenants, pair, overrides=WINDOW)
    _rested(tenant)
    run = Run(tenant, skew=-1 if fault == "count" else 0)
    run.marker("begin", tables=["public.tb_item"])
    for n in range(1, 21):
        if fault == "moved" and n in (10, 11):
            continue
        run.row(n)
        if n == 9 and fault == "skipped":
            # Its number is given away, and its id is in the digest: the row is not stored.
            run.ids.append(run.next_id(run.oid))
        if n == 9 and fault == "doubled":
            tenant.administrator.update(tenant.name, duplicate_window=100_000_000)
            run.count -= 1
            run.row(9)
        if n == 9 and fault == "moved":
            run.count += 1
            run.row(10)
            run.count -= 2
            run.row(11)
            run.count += 1
    run.end()
    if fault == "deleted":
        tenant.administrator.delete_message(tenant.name, 10)
    said = _said(tenant, expect=1)
    found = [each for each in said["differences"] if each["kind"] == "backfill"]
    marker = 3 + 1 + 20 + 1
    places = {"count": [marker], "skipped": [14, marker], "doubled": [14, marker + 1], "moved": [14, 15, marker], "deleted": [11, marker]}
    assert sorted(each["sequence"] for each in found) == places[fault], said
    assert said["counts"]["backfill"] == len(found) and not said["verified"]
    if fault == "count":
        assert found[0]["expected"].startswith("19 rows, digest ") and found[0]["stored"].startswith("20 rows, digest "), found
    text = tenant.streamer.command("verify", expect=1).stdout
    assert "NOT VERIFIED" in text and "backfill: Rows of a backfill are lost, doubled or moved" in text, text


def test_tail_shows_rows_and_markers(pair, tenants):
    tenant = _older(tenants, pair)
    _rested(tenant)
    _whole(tenant, number=3)

    def lines(*more: str) -> list[str]:
        return tenant.streamer.command("tail", "--from", "first", "--no-follow", *more).stdout.splitlines()

    shown = lines()
    assert len(shown) == 3 + 23
    assert "#4  BACKFILL  backfill 3: begins: public.tb_item" in shown[3]
    assert shown[4].endswith("#5  Item READ  1  note=\"note 1\"   backfill 3")
    assert shown[-2].endswith("BACKFILL  backfill 3: public.tb_item read: 20 rows") and shown[-1].endswith("BACKFILL  backfill 3: ends: 20 rows")
    assert lines("--operation", "READ") == lines("--operation", "read") == shown[4:24]
    assert lines("--operation", "BACKFILL") == [shown[3], *shown[-2:]]
    assert lines("--operation", "INSERT") == shown[:3]
    every = [json.loads(line) for line in lines("--json")]
    assert every == [event.json for event in tenant.events()]


def test_the_rows_of_a_removed_beginning_are_not_missed(pair, tenants):
    tenant = _older(tenants, pair, overrides=WINDOW)
    _rested(tenant)
    _whole(tenant)
    # Of the run its middle and its end are left, and no event.
    tenant.administrator.api(f"STREAM.PURGE.{tenant.name}", seq=10)
    said = _said(tenant)
    assert said["verified"] and said["read"] == 15 and said["retired"] == 3, said
    tenant.streamer.start()
    assert _rows(tenant)["differences"] == []
