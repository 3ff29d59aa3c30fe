"""What a slot holds and PostgreSQL cannot send: a publication that was not there, bytes that are no UTF-8, values too large to be written.

It stops at the position, what came before is stored and confirmed, and the way on says what is lost."""

import json

import pytest

from oracles.changes import lsn_number
from servers.tools import wait_until
from tenants import record_entries, refused, remedy, stopped, streamed, tenant_maker, tenants  # noqa: F401

_LOST = "publication_lost"


def _rows(tenant) -> list[int]:
    """The rows in the stream, markers left out."""
    return [event.json["entity"]["n"] for event in tenant.events() if event.json["operation"] != "GAP"]


def _drop(tenant) -> None:
    tenant.run(f"DROP PUBLICATION {tenant.name}")


def _make(tenant) -> None:
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")


def _rename(tenant) -> None:
    tenant.run(f"ALTER PUBLICATION {tenant.name} RENAME TO {tenant.name}_aside")


def _rename_back(tenant) -> None:
    tenant.run(f"ALTER PUBLICATION {tenant.name}_aside RENAME TO {tenant.name}")


# How it goes, and how it comes back.
_WAYS = {"dropped": (_drop, _make), "renamed": (_rename, _rename_back)}


def _accept(tenant, reason: str) -> tuple[int, int]:
    """Shows what is lost, then goes on behind it; returns the range that consumers read of."""
    shown = tenant.streamer.command("slot", "advance", expect=1)
    assert f"lost [{reason}]" in shown.stdout and "nothing was done" in shown.stderr, shown
    before = tenant.confirmed()
    said = json.loads(tenant.streamer.command("slot", "advance", "--accept-gap", "--by", "ann", "--json").stdout)
    assert said["reason"] == reason
    low, high = lsn_number(said["from_lsn"]), lsn_number(said["to_lsn"])
    assert before <= high == tenant.confirmed()
    assert "nothing is lost" in tenant.streamer.command("slot", "advance", "--accept-gap").stdout, "safe to run again"
    (marker,) = [event for event in tenant.events() if event.json["operation"] == "GAP"]
    assert marker.json["gap"] == {"from_lsn": said["from_lsn"], "to_lsn": said["to_lsn"], "reason": reason, "accepted_by": "ann"}
    return low, high


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("way", _WAYS)
def test_what_was_committed_without_the_publication_is_not_passed_over(postgres_pair, tenants, way, is_running):
    go, come = _WAYS[way]
    tenant = tenants(postgres_pair)
    streamed(tenant)
    if is_running:
        tenant.streamer.start()
    tenant.commit(4)
    go(tenant)
    before = tenant.lsn("pg_current_wal_insert_lsn()")
    tenant.commit(5)
    if not is_running:
        come(tenant)
        tenant.streamer.start(wait=False)
    said = stopped(tenant.streamer, 73, _LOST)
    assert tenant.name in said and "--accept-gap" in remedy(tenant.streamer)
    tenant.require_exact(1, 2, 3, 4)
    assert tenant.confirmed() <= before, "nothing is confirmed of what was skipped"
    if is_running:
        refused(tenant.streamer, 78, "configuration", "slot", "advance", "--accept-gap")
        come(tenant)
    back = tenant.lsn("pg_current_wal_insert_lsn()")
    tenant.commit(6)

    # Neither command says that all is well.
    refused(tenant.streamer, 73, _LOST, "setup", "--dry-run")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, _LOST)
    low, high = _accept(tenant, _LOST)
    assert low <= before < high <= back + 64, "the range holds what was lost, and little else"
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.commit(7)
    tenant.wait_stored(7)
    tenant.wait_confirmed()
    assert _rows(tenant) == [1, 2, 3, 4, 6, 7]


def test_a_publication_that_is_made_again_while_nothing_is_written_stops_nothing(postgres_pair, tenants):
    tenant = tenants(postgres_pair)
    streamed(tenant)
    tenant.streamer.start()
    tenant.run(f"DROP PUBLICATION {tenant.name}; CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
    tenant.commit(4)
    tenant.wait_stored(4)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    _drop(tenant)
    _make(tenant)
    tenant.commit(5)
    assert "nothing is lost" in tenant.streamer.command("slot", "advance", "--accept-gap").stdout
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.wait_stored(5)
    tenant.wait_confirmed()
    tenant.require_exact(1, 2, 3, 4, 5)


def test_a_publication_that_goes_stops_it_before_anything_is_written(postgres_pair, tenants):
    """By the catalogue alone: the server has nothing to say yet. Nothing is lost, and it goes on when the publication is back."""
    tenant = tenants(postgres_pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    _drop(tenant)
    said = stopped(tenant.streamer, 78, "configuration")
    assert tenant.name in said and "everything that commits before" in said
    _make(tenant)
    tenant.commit(2)
    tenant.streamer.start()
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    tenant.require_exact(1, 2)


def test_a_role_that_hears_no_warnings_does_not_lose_them(postgres_pair, tenants):
    tenant = tenants(postgres_pair)
    tenant.run(f"ALTER DATABASE {tenant.name} SET client_min_messages = 'error'")
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    _drop(tenant)
    tenant.commit(2)
    stopped(tenant.streamer, 73, _LOST)
    tenant.require_exact(1)


def test_what_came_before_a_lost_publication_has_to_be_stored_before_a_gap_is_accepted(postgres_pair, tenants):
    tenant = tenants(postgres_pair)
    streamed(tenant)
    tenant.commit(4)
    _drop(tenant)
    tenant.commit(5)
    _make(tenant)
    said = refused(tenant.streamer, 73, _LOST, "slot", "advance", "--accept-gap")
    assert "1 transactions" in said and "slotstream run" in said
    assert _rows(tenant) == [1, 2, 3]
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, _LOST)
    _accept(tenant, _LOST)
    assert _rows(tenant) == [1, 2, 3, 4]


def test_an_acceptance_that_was_interrupted_behind_the_slot_is_run_again(postgres_pair, tenants):
    tenant = tenants(postgres_pair)
    streamed(tenant)
    _drop(tenant)
    tenant.commit(4)
    _make(tenant)
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, _LOST)
    record = tenant.administrator.record(tenant.name)
    _accept(tenant, _LOST)
    # As if it had died with the slot moved, and neither marker nor record written.
    tenant.administrator.delete_message(tenant.name, 4)
    tenant.administrator.put_record(tenant.name, record)
    tenant.streamer.start(wait=False)
    assert tenant.streamer.wait(30) == 73
    tenant.streamer.command("slot", "advance", "--accept-gap")
    tenant.streamer.start()
    tenant.commit(5)
    tenant.wait_stored(6)
    assert _rows(tenant) == [1, 2, 3, 5]


# A database's encoding, and bytes in a text of it for which PostgreSQL has no UTF-8.
_ENCODINGS = {"WIN1252": r"\x81", "EUC_JP": r"\xa9a1"}


@pytest.mark.parametrize("encoding", _ENCODINGS)
def test_bytes_that_are_no_utf8_stop_at_their_transaction_and_there_is_a_way_on(pair, tenants, encoding):
    tenant = tenants(pair, encoding=encoding)
    streamed(tenant)
    tenant.commit_each(4, 300)
    bad = f"convert_from('{_ENCODINGS[encoding]}'::bytea, '{encoding}')"
    with tenant.connect() as connection, connection.transaction():
        connection.execute("INSERT INTO tb_item VALUES (301)")
        connection.execute(f"INSERT INTO tb_item VALUES (302, {bad})")
    after = tenant.lsn("pg_current_wal_insert_lsn()")
    tenant.commit(303)
    tenant.streamer.start(wait=False)
    said = stopped(tenant.streamer, 65, "poison_event")
    assert "which commits at" in said and "change 2" in said, said
    assert _rows(tenant) in (list(range(1, 301)), list(range(1, 302))), "what is valid before it is stored"
    record = tenant.administrator.record(tenant.name)
    assert tenant.confirmed() == lsn_number(record["confirmed_lsn"]) > lsn_number(tenant.events()[298].json["transaction"]["lsn"])
    low, high = _accept(tenant, "poison_event")
    assert low < after >= high
    tenant.streamer.start()
    tenant.commit(304)
    wait_until(lambda: _rows(tenant)[-1] == 304, 30, "it goes on")
    assert [n for n in _rows(tenant) if n != 301] == [*range(1, 301), 303, 304]


def test_bytes_of_a_database_without_encoding_are_a_poison_event_of_their_row(pair, tenants):
    """SQL_ASCII: nothing is converted, so that a reference can stand for the row."""
    tenant = tenants(pair, encoding="SQL_ASCII", overrides={"events": {"on_poison": "stop"}})
    with tenant.connect() as connection, connection.transaction():
        connection.execute(r"INSERT INTO tb_item VALUES (1, convert_from('\xc3bc'::bytea, 'SQL_ASCII'))")
        connection.execute(r"INSERT INTO tb_item VALUES (2, convert_from('\xff'::bytea, 'SQL_ASCII'))")
        connection.execute("INSERT INTO tb_item VALUES (3)")
    tenant.streamer.start(wait=False)
    said = stopped(tenant.streamer, 65, "poison_event")
    assert "public.tb_item" in said and "change 2" in said and "note" in said, said
    assert "nothing is lost" in tenant.streamer.command("slot", "advance", "--accept-gap").stdout
    reference = tenant.another({"events": {"on_poison": "reference"}})
    reference.start()
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    one, two, three = (event.json for event in tenant.events())
    assert one["entity"] == {"n": 1, "note": "\u00fc"} and three["entity"]["n"] == 3
    assert two["omitted"] and two["entity_id"] == "2" and "entity" not in two


def test_the_table_is_named_where_the_undecodable_row_is_its_first(pair, tenants):
    tenant = tenants(pair, encoding="WIN1252")
    tenant.run(r"INSERT INTO tb_item VALUES (1, convert_from('\x81'::bytea, 'WIN1252'))")
    tenant.streamer.start(wait=False)
    assert "public.tb_item" in stopped(tenant.streamer, 65, "poison_event")


def test_a_value_that_postgres_cannot_write_is_not_retried_for_ever(postgres_pair, tenants):
    """A bytea over 512 MB: its text has more than a gigabyte."""
    tenant = tenants(postgres_pair, setup=False)
    tenant.run("CREATE TABLE tb_large (n BIGINT PRIMARY KEY, bytes BYTEA)")
    tenant.run("ALTER TABLE tb_large ALTER bytes SET STORAGE EXTERNAL")
    tenant.streamer.setup()
    tenant.commit_each(1, 50)
    tenant.run("INSERT INTO tb_large VALUES (1, decode(repeat('00', 10000), 'hex'))")
    tenant.run("INSERT INTO tb_large SELECT 2, string_agg(decode(repeat('00', 10000000), 'hex'), '') FROM generate_series(1, 54)")
    tenant.commit(51)
    tenant.streamer.start(wait=False)
    said = stopped(tenant.streamer, 65, "poison_event", seconds=120)
    assert "XX000" in said and "which commits at" in said, said
    # It comes three times at the same place; an attempt that got further begins to count anew.
    assert 2 <= len(record_entries(tenant.streamer, "interrupted, trying again")) < 10
    low, high = _accept(tenant, "poison_event")
    assert low < high
    tenant.streamer.start()
    wait_until(lambda: _rows(tenant)[-1] == 51, 60, "it goes on")
    assert [event.json["entity"]["n"] for event in tenant.events() if event.json.get("entity_type") == "Item"] == list(range(1, 52))


def test_what_is_valid_before_a_poison_event_is_stored_and_confirmed_before_the_stop(pair, tenants):
    tenant = tenants(pair, nats_lines=("max_payload: 65536",), overrides={"events": {"on_poison": "stop"}})
    tenant.commit_each(1, 300)
    before = tenant.lsn("pg_current_wal_insert_lsn()")
    tenant.run("INSERT INTO tb_item VALUES (301, repeat('x', 70000))")
    tenant.commit(302)
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 65, "poison_event")
    tenant.require_exact(*range(1, 301))
    assert tenant.confirmed() >= before - 512 and tenant.confirmed() <= before
