"""`slotstream verify` beside a backfill: it leaves the rows aside where it compares with WAL, and proves tables with them."""

import asyncio
import json
from dataclasses import replace

import pytest

import stream
from backfill_faults import renumbered
from backfilling import prepared
from tenants import tenant_maker, tenants  # noqa: F401

def test_verify_leaves_rows_of_a_backfill_aside_and_proves_the_table_with_them(pair, tenants):
    tenant, told = prepared(tenants, pair, 600)
    told.streamer.start()
    run = told.request("public.tb_item")
    told.wait_done(run)
    tenant.run("UPDATE tb_item SET note = 'live' WHERE n IN (5, 100); DELETE FROM tb_item WHERE n = 6")
    tenant.wait_confirmed()
    said = json.loads(told.streamer.command("verify", "--rows", "public.tb_item", "--strict", "--json", seconds=120).stdout)
    assert said["differences"] == [] and said["rows"]["compared"] == 599 and said["rows"]["older"] == 0, said
    # What somebody takes out of the stream, or puts in another's place, is found.
    reads = [event for event in tenant.read() if event.subject.endswith(".READ")]
    tenant.administrator.delete_message(tenant.name, reads[50].sequence)
    said = json.loads(told.streamer.command("verify", "--rows", "public.tb_item", "--strict", "--json", expect=1, seconds=120).stdout)
    assert [(each["kind"], each["key"]) for each in said["differences"]] == [("missing", str(reads[50].json["entity"]["n"]))], said


def _run_by_hand(tenant) -> list[stream.Event]:
    """A whole run over tb_item as the program writes it, behind the stream's last event."""
    position = tenant.events()[-1].id
    at = {"timestamp": "2026-11-28T07:09:12.123456+00:00"}
    made: list[stream.Event] = []

    def add(subject: str, where: str, body: dict, entity: str | None = None) -> None:
        identity = f"{position}.b.1.{len(made) + 1}.{where}"
        text = json.dumps({"id": identity} | body | at, separators=(",", ":"))
        made.append(stream.Event(0, f"{tenant.prefix}.{subject}", identity, 0, (text if entity is None else f'{text[:-1]},"entity":{entity}}}').encode()))

    def mark(where: str, **told) -> None:
        add("_slotstream.BACKFILL", where, {"operation": "BACKFILL", "backfill": {"id": "1"} | told})

    with tenant.connect() as connection:
        oid, filenode, lsn = connection.execute("SELECT oid::int8, relfilenode::int8, pg_current_wal_insert_lsn()::text FROM pg_class WHERE oid = 'tb_item'::regclass").fetchone()
        rows = connection.execute("SELECT n, btrim(ctid::text, '()'), to_json(t)::text FROM tb_item AS t ORDER BY t.ctid").fetchall()
    mark("0.0.0.0", event="begin", tables=["public.tb_item"])
    for n, ctid, entity in rows:
        add("Item.READ", f"{oid}.{filenode}.{ctid.replace(',', '.')}", {
            "entity_type": "Item", "operation": "READ", "entity_id": str(n), "backfill": {"id": "1", "lsn": lsn},
            "source": {"database": tenant.name, "schema": "public", "table": "tb_item"}}, entity)
    mark(f"{oid}.{filenode}.4294967295.0", event="table", table="public.tb_item", oid=oid, **{"pass": 1}, rows=0, digest="0" * 16)
    mark("0.0.4294967295.0", event="end", rows=0)
    return renumbered(made)


def _store(tenant, events: list[stream.Event]) -> None:
    """Chained to the stream's end, as by the only writer."""
    last = tenant.last_sequence()

    async def publish() -> None:
        connection = await stream.connect(tenant.nats.url)
        try:
            for number, event in enumerate(events):
                await connection.jetstream().publish(event.subject, event.body, headers={
                    "Nats-Msg-Id": event.id, "Nats-Expected-Last-Sequence": str(last + number)})
        finally:
            await connection.close()

    asyncio.run(publish())


def _whole(events: list[stream.Event]) -> list[stream.Event]:
    return events


def _skipped(events: list[stream.Event]) -> list[stream.Event]:
    return renumbered(events[:20] + events[21:])


def _doubled(events: list[stream.Event]) -> list[stream.Event]:
    return renumbered(events[:25] + [events[20]] + events[25:])


def _stale(events: list[stream.Event]) -> list[stream.Event]:
    return [replace(event, body=event.body.replace(b'"note":"later"', b'"note":"as it was"')) for event in events]


def _miscounted(events: list[stream.Event]) -> list[stream.Event]:
    return [replace(event, body=event.body.replace(b'"rows":41', b'"rows":42')) if b'"event":"table"' in event.body else event for event in events]


# What it finds by the table's rows, and by what the run's messages say of each other.
_PLANTED = {"nothing": (_whole, [], []), "a row skipped": (_skipped, ["missing"], []), "a row doubled": (_doubled, [], ["backfill"]),
            "a row stale": (_stale, ["altered"], []), "a marker's count off by one": (_miscounted, [], ["backfill"])}


@pytest.mark.parametrize("planted", _PLANTED)
def test_verify_finds_a_planted_fault_of_a_run(pair, tenants, planted):
    tenant, told = prepared(tenants, pair, 40)
    told.streamer.start()
    tenant.commit(1001)
    tenant.run("UPDATE tb_item SET note = 'later' WHERE n = 5")
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    assert told.streamer.terminate() == 0
    tenant.wait_free()
    plant, *expected = _PLANTED[planted]
    _store(tenant, plant(_run_by_hand(tenant)))
    told.streamer.start()
    tenant.commit(1002)
    tenant.wait_confirmed()
    for kinds, more in zip(expected, (("--rows", "public.tb_item", "--strict"), ())):
        done = told.streamer.command("verify", *more, "--json", expect=int(bool(kinds)))
        assert {each["kind"] for each in json.loads(done.stdout)["differences"]} == set(kinds), done.stdout
