"""`slotstream check` of NATS: account, rights, stream and consumers. Each fault is made, found, mended as printed, and found no more."""

import asyncio
import json
import re

import pytest

import stream
from deployment import Pair
from doctor import Person, findings, found
from tenants import tenant_maker, tenants  # noqa: F401

_REPLICATED = Pair("18", "2.15.1-R3")


def _mended(tenant, identifier: str, about: str = "", *options: str, streamer=None, place=None) -> dict:
    """It is found; what is printed is carried out; it is found no more. Returns the finding."""
    streamer = streamer or tenant.streamer
    told = found(streamer, identifier, about, *options)
    assert told, findings(streamer, *options)
    for each in told:
        Person(tenant, streamer, place).carry_out(each["fix"])
    assert not found(streamer, identifier, about, *options)
    return told[0]


def _replacing(tenant, old: str, new: str):
    """Puts the printed lines, `{}` in `new`, in the place of `old` in nats-server's configuration."""
    def place(lines: str) -> None:
        (server,) = tenant.nats.servers
        text = server.config.read_text()
        assert text.count(old) == 1, text
        server.config.write_text(text.replace(old, new.format(lines)))

    return place


# Stream and consumer, otherwise than configured or dangerous.

EDITS = {
    "W057": {"duplicate_window": 10**9},
    "W063 max_age": {"max_age": 3600 * 10**9},
    "W063 max_msgs": {"max_msgs": 1000},
    "W063 max_msg_size": {"max_msg_size": 1000},
    "W063 max_bytes": {"max_bytes": 2**20},
    "W063 discard": {"discard": "new"},
    "W063 allow_direct": {"allow_direct": False},
    "W063 subjects": {"subjects": ["{prefix}.>", "{name}_more.>"]},
}


@pytest.mark.parametrize("fault", EDITS)
def test_a_stream_differs_from_the_configuration(fault, one_pair, tenants):
    tenant = tenants(one_pair)
    changes = {key: [each.format(prefix=tenant.prefix, name=tenant.name) for each in value] if isinstance(value, list) else value
               for key, value in EDITS[fault].items()}
    identifier, _, about = fault.partition(" ")
    assert not found(tenant.streamer, identifier, about)
    tenant.administrator.update(tenant.name, **changes)
    _mended(tenant, identifier, about)


def test_a_consumer_differs_from_the_configuration(one_pair, tenants):
    tenant = tenants(one_pair, overrides={"transport.nats": {"consumer_name": "reader"}})
    streamer = tenant.another({"transport.nats": {"consumer_name": "reader"}, "transport.nats.jetstream": {"max_deliver": 7}})
    _mended(tenant, "W063", "reader", streamer=streamer)


@pytest.mark.parametrize("changes", [{"max_msgs_per_subject": 5}, {"allow_rollup_hdrs": True}], ids=lambda changes: next(iter(changes)))
def test_a_stream_breaks_the_guarantee(changes, one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.administrator.update(tenant.name, **changes)
    _mended(tenant, "E056", tenant.name)


def _fill(tenant, count: int, size: int = 200) -> None:
    """So many events, by the streamer."""
    tenant.streamer.start()
    tenant.run(f"INSERT INTO tb_item SELECT n, repeat('x', {size}) FROM generate_series(1, {count}) AS n")
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0


def test_the_stream_keeps_less_than_a_day(one_pair, tenants):
    tenant = tenants(one_pair, overrides={"transport.nats.jetstream": {"max_bytes": 2**16}})
    _fill(tenant, 500)
    assert tenant.administrator.state(tenant.name)["first_seq"] > 1
    _mended(tenant, "W024", tenant.name)


def _reader(tenant, acknowledged: int) -> None:
    """A durable consumer that has been given ten events, and has acknowledged so many."""
    async def read() -> None:
        connection = await stream.connect(tenant.nats.url)
        try:
            subscription = await connection.jetstream().pull_subscribe(f"{tenant.prefix}.>", durable="reader", stream=tenant.name)
            for message in (await subscription.fetch(10, timeout=10))[:acknowledged]:
                await message.ack_sync()
        finally:
            await connection.close()

    asyncio.run(read())


def test_a_consumer_is_near_the_oldest_event(one_pair, tenants):
    tenant = tenants(one_pair, overrides={"transport.nats.jetstream": {"max_msgs": 100}, "transport.nats": {"consumer_name": ""}})
    _fill(tenant, 98)
    _reader(tenant, 2)
    _mended(tenant, "W025", "reader")


def test_a_consumer_has_never_read(one_pair, tenants):
    tenant = tenants(one_pair, overrides={"transport.nats": {"consumer_name": "worker"}})
    _fill(tenant, 3)
    _mended(tenant, "W026", "worker")


# Who else.

_ACCOUNTS = (
    "accounts {",
    "  A { jetstream: { max_file: 400MB }, users: [ { user: a, password: a } ] }",
    "  B { users: [ { user: b, password: b } ] }",
    "}",
)
_SECRET = "s3cret-Pa55word"
_USERS = (
    "authorization { users = [",
    "  { user: admin, password: admin }",
    f"  {{ user: limited, password: \"{_SECRET}\", permissions: {{ publish: {{ deny: [\"rules.>\"] }} }} }}",
    f"  {{ user: whole, password: \"{_SECRET}\" }}",
    "] }",
    "no_auth_user: admin",
)


def _as_user(tenant, user: str, password: str = _SECRET, overrides: dict | None = None):
    """A streamer of the tenant with a NATS user's password in a file."""
    file = tenant.servers.folder / f"{tenant.name}-{user}"
    file.write_text(password + "\n")
    file.chmod(0o600)
    return tenant.another({"transport.nats": {"user": user, "password_file": str(file)}} | (overrides or {}))


def test_others_may_publish_and_delete(one_pair, tenants):
    tenant = tenants(one_pair, nats_lines=_USERS)
    streamer = _as_user(tenant, "whole")
    # First the stream, which nobody may then delete from, whoever he is.
    _mended(tenant, "W032", tenant.name, streamer=streamer)
    place = _replacing(tenant, "{ user: admin, password: admin }", "{{ user: admin, password: admin, {} }}")
    (server,) = tenant.nats.servers
    before = server.config.read_text()
    try:
        _mended(tenant, "W031", tenant.prefix, streamer=streamer, place=place)
    finally:
        server.config.write_text(before)
        Person(tenant).reload_nats()


def test_rights_are_missing(one_pair, tenants):
    tenant = tenants(one_pair, nats_lines=_USERS)
    streamer = _as_user(tenant, "limited")
    denied = 'permissions: { publish: { deny: ["rules.>"] } }'
    (server,) = tenant.nats.servers
    before = server.config.read_text()
    try:
        _mended(tenant, "E028", "NATS user", streamer=streamer, place=_replacing(tenant, denied, "{}"))
        streamer.start()
        tenant.commit(1)
        tenant.wait_stored(1)
        assert streamer.terminate() == 0
    finally:
        server.config.write_text(before)
        Person(tenant).reload_nats()


def test_rights_are_missing_that_it_can_do_without(one_pair, tenants):
    tenant = tenants(one_pair, nats_lines=_USERS)
    streamer = _as_user(tenant, "limited")
    (server,) = tenant.nats.servers
    before = server.config.read_text()
    lesser = [f"$KV.slotstream.{tenant.name}.last_stop", f"$KV.slotstream.{tenant.name}.backfill", f"$JS.API.CONSUMER.LIST.{tenant.name}",
              f"$JS.API.CONSUMER.CREATE.{tenant.name}.slotstream_headers", "$JS.API.INFO"]
    denied = f'permissions: {{ publish: {{ deny: {json.dumps(lesser)} }} }}'
    try:
        server.config.write_text(before.replace('permissions: { publish: { deny: ["rules.>"] } }', denied))
        Person(tenant).reload_nats()
        (told,) = found(streamer, "W065")
        assert all(subject in told["message"] for subject in lesser), told
        _mended(tenant, "W065", "NATS user", streamer=streamer, place=_replacing(tenant, denied, "{}"))
        # With exactly these rights it streams, and stops with a word for whoever asks later.
        streamer.start()
        tenant.commit(1)
        tenant.wait_stored(1)
        assert streamer.terminate() == 0
    finally:
        server.config.write_text(before)
        Person(tenant).reload_nats()


def test_a_nats_password_is_refused(one_pair, tenants):
    tenant = tenants(one_pair, nats_lines=_USERS)
    streamer = _as_user(tenant, "whole", password="another")
    (told,) = found(streamer, "E007")
    assert _SECRET not in str(told) and "another" not in str(told)
    _as_user(tenant, "whole")
    assert not found(streamer, "E007")


def test_jetstream_is_not_enabled_for_the_account(one_pair, tenants):
    # Whoever gives no name is in an account of his own.
    tenant = tenants(one_pair, nats_lines=(*_ACCOUNTS, "no_auth_user: a"), setup=False)
    streamer = _as_user(tenant, "b", "b", {"transport.nats.jetstream": {"max_bytes": 2**20, "replicas": 1}})
    _mended(tenant, "E027", "NATS", "--before-start", streamer=streamer,
            place=_replacing(tenant, "B { users:", "B {{ {}, users:"))


def test_jetstream_has_less_room_than_the_stream_wants(tenants):
    # nats-server 2.9 is refused where an account has a limit.
    tenant = tenants(Pair("18", "2.15.1"), nats_lines=(*_ACCOUNTS, "no_auth_user: a"), setup=False,
                     overrides={"transport.nats.jetstream": {"max_bytes": 2**30}})
    told = _mended(tenant, "E023", tenant.name, "--before-start")
    assert re.search(r"1024 MiB \(max_bytes\) is more than the \d+ MiB", told["message"])
    tenant.streamer.setup()


def test_another_stream_takes_the_subjects(one_pair, tenants):
    tenant = tenants(one_pair, setup=False)
    tenant.administrator.add(f"{tenant.name}_other", subjects=[f"{tenant.prefix}.>"], max_bytes=2**20)
    try:
        _mended(tenant, "E029", tenant.name, "--before-start")
        tenant.streamer.setup()
    finally:
        tenant.administrator.delete(f"{tenant.name}_other")


def test_another_writer_has_stored_messages(one_pair, tenants):
    tenant = tenants(one_pair, setup=False)
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], max_bytes=2**28, storage="file", allow_direct=True,
                             duplicate_window=300 * 10**9)
    tenant.administrator.publish(f"{tenant.prefix}.Item.INSERT", b"{}")
    (told,) = found(tenant.streamer, "E030", "", "--before-start")
    # The other writer has ended: the second step takes over.
    assert "Begin behind these messages, which stay in the stream: `slotstream setup --after-foreign`" in told["fix"]
    tenant.streamer.command("setup", "--after-foreign")
    assert not found(tenant.streamer, "E030")


# Servers.

def test_an_account_with_a_limit_on_an_old_server(tenants):
    old = Pair("15", "2.9.10")
    tenant = tenants(old, nats_lines=(*_ACCOUNTS, "no_auth_user: a"), setup=False,
                     overrides={"transport.nats.jetstream": {"max_bytes": 2**20}})
    (told,) = found(tenant.streamer, "W058", "", "--before-start")
    assert told["fix"].startswith("Remove max_file from the account")
    _replacing(tenant, "jetstream: { max_file: 400MB }", "jetstream: enabled")("")
    Person(tenant).reload_nats()
    assert not found(tenant.streamer, "W058", "", "--before-start")


def test_one_replica_on_a_cluster(tenants):
    tenant = tenants(_REPLICATED, overrides={"transport.nats.jetstream": {"replicas": 1}})
    streamer = tenant.another({"transport.nats.jetstream": {"replicas": 3}})
    _mended(tenant, "W033", f"stream {tenant.name}", streamer=streamer)


def test_a_bucket_is_less_safe_than_its_stream(tenants):
    tenant = tenants(_REPLICATED)
    tenant.administrator.update("KV_slotstream", num_replicas=1)
    _mended(tenant, "W033", "bucket slotstream")
