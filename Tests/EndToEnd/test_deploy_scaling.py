"""deploy/docs/scaling.md: the example of two slots, two streams and one stream that sources from both, and what the page warns of."""

import json

import stream
from conftest import ALL_PAIRS
from doctor import found
from servers.tools import CHECKOUT, wait_until
from streamer import Streamer
from tenants import Tenant, own, tenant_maker, tenants  # noqa: F401

_EXAMPLE = CHECKOUT / "deploy" / "examples" / "scaling"
_TABLES = "CREATE TABLE customers (id BIGINT PRIMARY KEY, note TEXT); CREATE TABLE invoices (id BIGINT PRIMARY KEY, customer BIGINT)"
_PARTS = ("crm", "billing")


def _from_example(tenant: Tenant, part: str) -> Streamer:
    """A streamer with a file of the example; what differs in a test comes by the environment."""
    streamer = tenant.another()
    streamer.config.write_text((_EXAMPLE / f"{part}.toml").read_text())
    streamer.environment |= {"DATABASE_URL": tenant.conninfo, "NATS_URL": tenant.nats.url, "SLOTSTREAM_HTTP_LISTEN": streamer.http,
                             "SLOTSTREAM_LOG_FORMAT": "json"}
    return streamer


def _in_both(tenant: Tenant, first: int, last: int) -> None:
    """Transactions of a customer, of a customer with its invoice, and of an invoice, in turn."""
    with tenant.connect() as connection:
        for number in range(first, last + 1):
            with connection.transaction():
                if number % 3 != 2:
                    connection.execute("INSERT INTO customers VALUES (%s, 'new')", (number,))
                if number % 3 != 0:
                    connection.execute("INSERT INTO invoices VALUES (%s, %s)", (number, number))


def _read(tenant: Tenant, name: str) -> list[stream.Event]:
    return list(stream.read(tenant.nats.url, name))


def _wait_for_all(tenant: Tenant, seconds: float = 120) -> None:
    """Until every slot is at the end, and the stream of all has what both streams have."""
    target = tenant.lsn("pg_current_wal_flush_lsn()")
    behind = ("SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND slot_name NOT LIKE '%%anchor' AND "
              "(confirmed_flush_lsn - '0/0')::bigint < %s")
    wait_until(lambda: tenant.value(behind, (target,)) == 0, seconds, "both slots are at the end", 0.1)
    state = tenant.administrator.state
    wait_until(lambda: state("shop_all")["messages"] == sum(state(f"shop_{part}")["messages"] for part in _PARTS), seconds,
               "the stream of all has them", 0.2)


def test_the_example_gathers_every_event_once_in_the_order_of_its_stream_whoever_is_killed(own):
    """On a cluster of three: leaders step down and a server and a streamer are killed under load."""
    tenant = own(ALL_PAIRS[-1], setup=False)
    tenant.run(_TABLES)
    tenant.run("CREATE PUBLICATION shop FOR TABLE customers, invoices")
    streamers = {part: _from_example(tenant, part) for part in _PARTS}
    for streamer in streamers.values():
        streamer.setup()
    tenant.administrator.add(**json.loads((_EXAMPLE / "all.json").read_text()))
    for streamer in streamers.values():
        streamer.start()
    _in_both(tenant, 1, 100)
    tenant.run("""SELECT pg_logical_emit_message(true, 'fraiseql_events', '{"entity_type":"Campaign","operation":"SENT","entity_id":1}')""")
    _wait_for_all(tenant)
    for name in ("shop_all", "shop_crm"):
        wait_until(lambda: tenant.administrator.api(f"STREAM.LEADER.STEPDOWN.{name}"), 30, "a leader steps down", 0.2)
        _in_both(tenant, 101 if name == "shop_all" else 201, 200 if name == "shop_all" else 300)
    tenant.nats.servers[1].kill()
    streamers["billing"].kill()
    with tenant.connect() as connection:
        connection.execute("WITH more AS (INSERT INTO customers SELECT generate_series(1001, 2000), 'many' RETURNING id) "
                           "INSERT INTO invoices SELECT id, id FROM more")
    _in_both(tenant, 301, 400)
    tenant.nats.servers[1].launch()
    tenant.nats.wait_ready()
    streamers["billing"].start()
    _in_both(tenant, 401, 450)
    _wait_for_all(tenant)

    gathered, parts = _read(tenant, "shop_all"), {part: _read(tenant, f"shop_{part}") for part in _PARTS}
    assert len({event.id for event in gathered}) == len(gathered), "no id twice"
    for part, events in parts.items():
        assert [event.id for event in gathered if event.subject.startswith(f"shop.{part}.")] == [event.id for event in events]
    customers = [n for n in range(1, 451) if n % 3 != 2] + list(range(1001, 2001))
    invoices = [n for n in range(1, 451) if n % 3 != 0] + list(range(1001, 2001))
    rows = {part: [event.json["entity"]["id"] for event in events if "entity" in event.json] for part, events in parts.items()}
    assert sorted(rows["crm"]) == customers and sorted(rows["billing"]) == invoices
    assert [event.json["entity_type"] for event in gathered if "entity" not in event.json] == ["Campaign"], "a message once, from one stream"
    # A transaction that wrote into both: its events lie apart, and its id and the ordinals put them together again.
    whole = [event.json["transaction"] for part in _PARTS for event in parts[part] if event.json.get("entity", {}).get("id") == 1]
    assert {each["id"] for each in whole} == {whole[0]["id"]} and [each["ordinal"] for each in whole] == [1, 2]
    assert [each["last"] for each in whole] == [True, True], "each is the last in its stream"
    for streamer in streamers.values():
        assert streamer.terminate() == 0


def _two_publications(tenant: Tenant) -> list[Streamer]:
    """As the page says not to do it: each slot has a publication of its own."""
    tenant.run(_TABLES)
    started = []
    for part, table in zip(_PARTS, ("customers", "invoices")):
        name = f"{tenant.name}_{part}"
        streamer = tenant.another({
            "source": {"slot": name, "publication": name, "tables": [f"public.{table}"]},
            "transport.nats": {"stream_name": f"shop_{part}", "subject_prefix": f"shop.{part}", "consumer_name": ""}})
        streamer.setup()
        streamer.start()
        started.append(streamer)
    return started


def _gathering(tenant: Tenant, name: str, **more) -> None:
    tenant.administrator.add(name, storage="file", num_replicas=tenant.nats.replicas, sources=[{"name": f"shop_{part}"} for part in _PARTS], **more)


def test_with_a_publication_each_one_transaction_has_the_same_id_in_both_and_a_duplicate_window_loses_one(own):
    """nats-server says nothing of that, and the lag of the source is 0."""
    tenant = own(ALL_PAIRS[-2], setup=False)
    _two_publications(tenant)
    _gathering(tenant, "shop_all")
    _gathering(tenant, "shop_deduplicated", duplicate_window=120 * 10**9)
    _in_both(tenant, 1, 90)
    _wait_for_all(tenant)
    parts = {part: [event.id for event in _read(tenant, f"shop_{part}")] for part in _PARTS}
    shared = set(parts["crm"]) & set(parts["billing"])
    assert len(shared) == 30, "of the transactions that wrote into both"
    assert not tenant.administrator.config("shop_all").get("duplicate_window"), "a stream that sources has none unless it is told"
    wait_until(lambda: tenant.administrator.state("shop_deduplicated")["messages"] == 120 - 30, 30, "30 are missing")
    assert [source.get("lag", 0) for source in tenant.administrator.info("shop_deduplicated")["sources"]] == [0, 0]


def test_a_server_before_2_10_14_does_not_gather(oldest_pair, own):
    """It holds each message's Nats-Expected-Last-Sequence against the gathering stream, and tries the same again for ever."""
    tenant = own(oldest_pair, setup=False)
    streamers = _two_publications(tenant)
    _gathering(tenant, "shop_all")
    _in_both(tenant, 1, 30)
    (server,) = tenant.nats.servers
    wait_until(lambda: "last sequence mismatch" in server.log.read_text(), 30, "it says so in its log")
    state = tenant.administrator.state
    wait_until(lambda: sum(state(f"shop_{part}")["messages"] for part in _PARTS) == 40, 30, "both streams are whole")
    assert state("shop_all")["messages"] < 40
    assert found(streamers[0], "W067", "stream shop_all")
