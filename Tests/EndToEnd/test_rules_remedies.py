"""Each stop's remedy, carried out to the letter: afterwards the streamer streams, and what is committed then is stored."""

import json

import pytest

import failpoints
from remedies import follow
from somebody import QUICK, somebody, streaming, with_hole  # noqa: F401
from tenants import UNRECORDED, killed_unrecorded, refused, remedy, stopped, streamed, tenant_maker, tenants  # noqa: F401
from test_rules_gap import CASES
from test_rules_permissions import as_role


def _goes_on(tenant, number: int, streamer=None) -> None:
    """A row that is committed now is stored and confirmed."""
    tenant.commit(number)
    tenant.wait_confirmed()
    assert f'"n":{number},' in tenant.read()[-1].body.decode()
    assert (streamer or tenant.streamer).terminate() == 0


@pytest.mark.parametrize("case", CASES)
def test_the_way_on_over_a_gap_when(case, pair, tenants):
    lose, reason, *_ = CASES[case]
    tenant = tenants(pair)
    streamed(tenant)
    lose(tenant)
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, reason)
    follow(tenant.streamer, tenant.name)
    _goes_on(tenant, 5)


def test_the_way_on_behind_messages_that_were_deleted(pair, tenants):
    tenant = tenants(pair, setup=False, overrides=UNRECORDED)
    # JetStream remembers the ids of what is deleted, and refuses them, for as long as this.
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", duplicate_window=10**9,
                             num_replicas=tenant.nats.replicas)
    tenant.streamer.setup()
    killed_unrecorded(tenant)
    tenant.administrator.delete_message(tenant.name, 3)
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "stream_purged")
    follow(tenant.streamer, tenant.name)
    tenant.commit(4)
    # Two that were there, the marker, the one that is stored again.
    tenant.wait_stored(6)
    assert tenant.streamer.terminate() == 0


def test_a_slot_that_was_made_by_hand_is_adopted(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
    tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'pgoutput')")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "bucket_missing")
    follow(tenant.streamer, tenant.name, chosen=1)
    tenant.streamer.start()
    _goes_on(tenant, 1)


@pytest.mark.parametrize("is_first", [True, False], ids=["a first start", "a streamer that was set up"])
def test_a_slot_with_two_phase_is_replaced_for(is_first, pair, tenants):
    tenant = tenants(pair, setup=not is_first)
    if not is_first:
        tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'pgoutput', false, true)")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 78, "slot_two_phase")
    follow(tenant.streamer, tenant.name)
    _goes_on(tenant, 1)


def test_a_slot_that_another_program_made_during_setup_is_adopted(pair, tenants):
    tenant = tenants(pair)
    record = tenant.administrator.record(tenant.name)
    tenant.administrator.put_record(tenant.name, record | {"slot": "elsewhere", "genesis": record["genesis"] | {"kind": "claimed"}})
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 78, "configuration")
    assert f"`nats kv del slotstream {tenant.name}`" in remedy(tenant.streamer)
    follow(tenant.streamer, tenant.name, by_hand={
        "Delete the unfinished record": lambda: tenant.administrator.delete_record(tenant.name)})
    tenant.streamer.start()
    _goes_on(tenant, 1)


@pytest.mark.parametrize("is_needed", [True, False], ids=["and something was written", "and nothing was written"])
def test_a_publication_is_made_again_that_was_dropped(is_needed, pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.run(f"DROP PUBLICATION {tenant.name}")
    if is_needed:
        tenant.commit(4)
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 78, "configuration")
    if is_needed:
        # Its own remedy comes when the publication is there.
        tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
        tenant.streamer.start(wait=False)
        stopped(tenant.streamer, 73, "publication_lost")
        follow(tenant.streamer, tenant.name)
    else:
        follow(tenant.streamer, tenant.name, by_hand={
            "Create the publication again": lambda: tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")})
    _goes_on(tenant, 5)


def test_the_way_on_behind_bytes_that_are_no_utf8(pair, tenants):
    tenant = tenants(pair, encoding="WIN1252")
    streamed(tenant)
    tenant.run(r"INSERT INTO tb_item VALUES (4, convert_from('\x81'::bytea, 'WIN1252'))")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 65, "poison_event")
    follow(tenant.streamer, tenant.name, by_hand={"Correct the row": lambda: tenant.run("UPDATE tb_item SET note = '' WHERE n = 4")})
    _goes_on(tenant, 5)


def test_a_poison_event_goes_into_quarantine(pair, tenants):
    tenant = tenants(pair, overrides={"events": {"on_poison": "stop"}})
    tenant.run("SELECT pg_logical_emit_message(true, 'fraiseql_events', 'no JSON')")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 65, "poison_event")
    follow(tenant.streamer, tenant.name, by_hand={
        'Set events.on_poison = "quarantine"': lambda: tenant.streamer.environment.update(SLOTSTREAM_EVENTS_ON_POISON="quarantine")})
    _goes_on(tenant, 1)
    assert [event.subject for event in tenant.events()] == [f"{tenant.prefix}._slotstream.POISON", f"{tenant.prefix}.Item.INSERT"]


def test_a_poison_event_is_passed_over(pair, tenants):
    tenant = tenants(pair, overrides={"events": {"on_poison": "stop"}})
    tenant.run("SELECT pg_logical_emit_message(true, 'fraiseql_events', 'no JSON')")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 65, "poison_event")
    tenant.wait_free()
    follow(tenant.streamer, tenant.name, chosen=1)
    _goes_on(tenant, 1)
    assert [event.subject for event in tenant.events()] == [f"{tenant.prefix}._slotstream.SKIP", f"{tenant.prefix}.Item.INSERT"]


def test_a_hole_is_mended(pair, tenants, somebody):  # noqa: F811
    tenant = tenants(pair, overrides=QUICK)
    with_hole(tenant, somebody(tenant))
    follow(tenant.streamer, tenant.name)
    tenant.wait_confirmed()
    late = [event.json["entity"]["n"] for event in tenant.read() if event.stray is None and "late" in event.json]
    assert late == [4, 5] and tenant.streamer.terminate() == 0


@pytest.mark.parametrize("forged", [True, False], ids=["is passed over", "is left behind with its stream"])
def test_a_message_with_an_id_that_the_server_does_not_know(forged, pair, tenants):
    tenant = tenants(pair, overrides=QUICK)
    streaming(tenant)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    system, oid, timeline, *_ = tenant.read()[0].id.split(".")
    position = tenant.value("SELECT upper(lpad(to_hex((pg_current_wal_flush_lsn() - '0/0')::bigint - 8), 16, '0'))")
    tenant.administrator.publish(f"{tenant.prefix}.Item.INSERT", b"{}", Nats_Msg_Id=f"{system}.{oid}.{timeline}.777.{position}.1")
    tenant.run("CREATE TABLE more_wal (n INTEGER)")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "history_diverged", seconds=60)
    anew = follow(tenant.streamer, tenant.name, forged=forged)
    tenant.commit(9)
    tenant.wait_confirmed(60)
    assert (anew is None) == forged and tenant.streamer.terminate() == 0
    last = list(tenant.administrator.messages(anew or tenant.name))[-1]
    assert last.json["entity"]["n"] == 9


def test_changed_options_are_set_back_until_the_stream_is_compared(pair, tenants):
    tenant = tenants(pair)
    failpoints.start(tenant.streamer, "after_ack", "kill")
    tenant.streamer.wait_ready()
    tenant.run("INSERT INTO tb_item SELECT generate_series(1, 100)")
    tenant.streamer.wait(60)
    tenant.wait_free()
    variable = "SLOTSTREAM_EVENTS_EXCLUDE"
    tenant.streamer.environment[variable] = "public.tb_noise"
    tenant.streamer.environment.pop("SLOTSTREAM_FAILPOINT", None)
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "options_changed")

    def stop() -> None:
        tenant.wait_confirmed()
        assert tenant.streamer.terminate() == 0
        tenant.wait_free()

    def change() -> None:
        tenant.streamer.environment[variable] = "public.tb_noise"
        tenant.streamer.start()

    follow(tenant.streamer, tenant.name, by_hand={
        "Set the old values": lambda: tenant.streamer.environment.pop(variable), "Stop the streamer": stop, "Set the new values": change})
    _goes_on(tenant, 101)
    assert tenant.stored() == list(range(1, 102))


def test_a_first_start_without_setup(pair, tenants):
    tenant = tenants(pair, setup=False)
    done = tenant.streamer.command("run", "--no-setup", expect=78)
    follow(tenant.streamer, tenant.name, json.loads(done.stderr.splitlines()[-1])["remedy"])
    tenant.streamer.start()
    _goes_on(tenant, 1)


def test_what_an_owner_makes_for_a_role_that_may_only_stream(pair, tenants):
    """The commands run as the role; what the first prints is the owner's to run."""
    tenant = tenants(pair, setup=False)
    streamer = as_role(tenant, "REPLICATION")
    said = refused(streamer, 77, "permission_postgres", "setup")

    def own() -> None:
        with tenant.connect() as connection:
            for statement in streamer.command("setup", "--print-sql").stdout.splitlines():
                connection.execute(statement)

    follow(streamer, tenant.name, _shown(said), by_hand={"For a missing publication": own})
    _goes_on(tenant, 1, streamer)


def _shown(stderr: str) -> str:
    """The remedy that stands behind a command's error."""
    lines = stderr.splitlines()
    first = max(index for index, line in enumerate(lines) if line.startswith("slotstream: "))
    assert all(line.startswith("  ") for line in lines[first + 1:]) and lines[first].endswith("]"), stderr
    return " ".join(line.strip() for line in lines[first + 1:])
