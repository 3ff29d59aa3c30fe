"""nats-server's resources are at their end: its disk, a stream's limits, an account's, its connections."""

import os
import shutil
import signal
import socket
import subprocess
import urllib.error
from pathlib import Path

import pytest

import stream
from conftest import PAIRS
from servers.nats import NatsServer
from servers.tools import dying_with_us, wait_until
from tenants import record_entries, refused, stopped, tenant_maker, tenants  # noqa: F401

# nats-server 2.9 is not used with an account's storage limit.
_new_pair = pytest.mark.parametrize("new_pair", PAIRS[1:], ids=str)
_MIB = 2**20
_ACCOUNT_IS_FULL = "JetStream refuses the events: resource limits exceeded"
_HOLDER = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'fraiseql_events'"


class SmallDisk:
    """A filesystem of its own for the store of a server that does not run; within a `with`.

    It is mounted in a mount namespace that a process of ours keeps, and which dies with us: nobody outside sees the mount, and
    nothing of it is left behind.
    """

    def __init__(self, server: NatsServer, byte_count: int):
        self._server = server
        self._byte_count = byte_count

    def __enter__(self) -> "SmallDisk":
        store, disk = self._server.folder / "jetstream", self._server.folder / "disk"
        disk.mkdir()
        script = ('mount -t tmpfs -o "size=$3" slotstream "$2" && mkdir "$2/store" && cp -a "$1/." "$2/store/" && '
                  'mount --bind "$2/store" "$1" && echo up && exec sleep infinity')
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self._holder = subprocess.Popen(
            ["unshare", *user, "--mount", *dying_with_us(), "sh", "-c", script, "sh", store, disk, str(self._byte_count)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self._holder.stdout.readline() != "up\n":
            raise AssertionError(f"no filesystem to be had: {self._holder.communicate()[1]}")
        enter = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self._server.prefix = ["nsenter", f"--target={self._holder.pid}", *enter, "--mount", "--", *dying_with_us()]
        self._root = Path(f"/proc/{self._holder.pid}/root{disk}")
        return self

    def __exit__(self, *_) -> None:
        if self._server.running:
            self._server.kill()
        self._holder.kill()
        self._holder.communicate()

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        return shutil.disk_usage(self._root).free

    def fill(self, leave: int) -> None:
        """Something else takes all space but so many bytes."""
        with (self._root / "ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, self.free - leave)

    def clear(self) -> None:
        """It is gone again."""
        (self._root / "ballast").unlink()


def _metric(streamer, name: str) -> float:
    """A metric of a streamer that runs, which is required."""
    assert streamer.running, f"the streamer ended with {streamer.process.poll()}: {streamer.last_words()}"
    return streamer.metric(name)


def _answers(streamer, path: str) -> int:
    """The status with which it answers."""
    try:
        streamer.get(path)
        return 200
    except urllib.error.HTTPError as error:
        return error.code


def _refused(streamer, code: int | None = None) -> int:
    """How often it had to look what is stored, for JetStream had refused a message (with this code)."""
    details = [entry["detail"] for entry in record_entries(streamer, "resynchronising") if entry["cause"] == "refused"]
    return sum(code is None or f" with {code} " in detail for detail in details)


def _tries_again(streamer, reason: str = "not connected to NATS, or resynchronising") -> None:
    """It is live, says that it is not moving, and goes on trying: all of it seen from outside."""

    def attempts() -> float:
        return _metric(streamer, "slotstream_resynchronisations_total") + _metric(streamer, "slotstream_reconnects_total")

    tried, late = attempts(), _metric(streamer, "slotstream_source_lag_seconds")
    wait_until(lambda: attempts() > tried, 90, "it tries again")
    wait_until(lambda: _metric(streamer, "slotstream_source_lag_seconds") > late, 30, "it says how late it is")
    # Between two attempts. At each it hopes, for as long as it takes to be refused.
    wait_until(lambda: _answers(streamer, "/readyz") == 503, 30, "it is not ready")
    status = wait_until(lambda: (said := streamer.status())["reasons"] and said, 30, "it says why")
    assert [said.startswith(reason) for said in status["reasons"]] == [True], status["reasons"]
    assert status["live"] and not status["ready"] and status["source"]["lag_bytes"] > 0
    assert _answers(streamer, "/livez") == 200


def test_the_stream_is_equal_after_nats_servers_disk_was_full(pair, deploy, seed, report):
    """From then on neither version stores anything before it is restarted: 2.9.10 answers nothing more, 2.15.1 keeps the
    error of its first write, though there is space again."""
    deployment = deploy(pair, overrides={"source": {"wal_sender_timeout": "6s"}})
    streamer, nats = deployment.streamer, deployment.nats
    nats.kill()
    with SmallDisk(nats.servers[0], 256 * _MIB) as disk, deployment.sampler() as sampler:
        nats.start()
        streamer.start()
        deployment.wait_confirmed()
        holder = wait_until(lambda: deployment.postgres.value(_HOLDER), 10, "the slot is held")
        disk.fill(leave=6 * _MIB)
        workload = deployment.workload(12_000, seed).start()
        wait_until(lambda: record_entries(streamer, "resynchronising"), 120, "a message is not stored")
        workload.finish()
        _tries_again(streamer)
        assert disk.free < _MIB, "it was not the disk"
        disk.clear()
        assert deployment.postgres.value(_HOLDER) == holder
        nats.kill()
        nats.start()
        deployment.wait_confirmed()
        streamer.wait_ready()
        assert deployment.postgres.value(_HOLDER) == holder, "the connection to PostgreSQL did not live through it"
        result = deployment.compare_load(workload)
    positions = sampler.require_truth(deployment.truth.transactions)
    report(f"{pair}: nats-server's disk full; {result.compared} events compared, {len(result.differences)} differences; "
           f"{positions} confirmed positions sampled, none early")


def _require_held_back(tenant, stored: int, ids: list[str]) -> None:
    """Nothing beyond the first `stored` of the events `ids` is stored or confirmed."""
    assert [event.id for event in tenant.events()] == ids[:stored]
    following = stream.position(ids[stored])[0]
    assert tenant.confirmed() <= following, "confirmed beyond what is stored"


@pytest.mark.parametrize("limit, low", [("max_msgs", 10), ("max_bytes", 8192)])
def test_a_stream_at_its_limit_holds_the_streamer_back_until_the_limit_is_raised(pair, tenants, limit, low):
    tenant = tenants(pair, overrides={"source": {"wal_sender_timeout": "6s"}})
    before = tenant.administrator.config(tenant.name)
    tenant.administrator.update(tenant.name, **{"discard": "new", limit: low})
    tenant.watch_ids()
    tenant.streamer.start()
    tenant.commit_each(1, 60)
    wait_until(lambda: _refused(tenant.streamer, 10077), 30, "JetStream refuses a message")
    ids = tenant.coming_ids()
    stored = tenant.last_sequence()
    assert 0 < stored < len(ids) == 60
    holder = tenant.holder()
    resynchronisations = tenant.streamer.metric("slotstream_resynchronisations_total")
    _tries_again(tenant.streamer, "JetStream refuses the events: maximum ")
    assert tenant.streamer.metric("slotstream_resynchronisations_total") > resynchronisations
    assert tenant.streamer.metric("fraiseql_observer_events_retried_total") > 0
    assert tenant.streamer.metric("fraiseql_observer_events_processed_total") == stored
    _require_held_back(tenant, stored, ids)
    tenant.administrator.update(tenant.name, **{limit: before[limit]})
    tenant.wait_stored(60, seconds=60)
    tenant.wait_confirmed()
    tenant.streamer.wait_ready()
    tenant.require_exact(*range(1, 61))
    assert tenant.holder() == holder, "the connection to PostgreSQL did not live through it"


def _account(limits: str) -> tuple[str, ...]:
    """Lines of a configuration in which everybody belongs to an account with these limits of JetStream."""
    return (f"accounts {{ RULES {{ jetstream: {{ {limits} }}, users: [{{ user: rules, password: rules }}] }} }}",
            "no_auth_user: rules")


def _reload(tenant, old: str, new: str) -> None:
    """An administrator changes nats-server's configuration while it runs."""
    server = tenant.nats.servers[0]
    text = server.config.read_text()
    assert old in text
    server.config.write_text(text.replace(old, new))
    server.signal(signal.SIGHUP)


@_new_pair
@pytest.mark.parametrize("begins_anew", [False, True])
def test_an_account_at_its_storage_limit_holds_the_streamer_back_until_it_is_raised(new_pair, tenants, begins_anew):
    """It may happen, too, that the connection to PostgreSQL breaks while nothing can be stored: no reason to give up."""
    low = f"max_file: {64 * 1024 + begins_anew}"
    tenant = tenants(new_pair, nats_lines=_account(low), overrides={"transport.nats.jetstream": {"max_bytes": -1}})
    tenant.watch_ids()
    tenant.streamer.start()
    tenant.commit_each(1, 300)
    wait_until(lambda: _refused(tenant.streamer), 30, "JetStream refuses a message")
    ids = tenant.coming_ids()
    stored = tenant.last_sequence()
    assert 0 < stored < len(ids) == 300
    _tries_again(tenant.streamer, _ACCOUNT_IS_FULL)
    if begins_anew:
        tenant.terminate_holder()
        wait_until(lambda: record_entries(tenant.streamer, "interrupted, trying again"), 30, "it begins anew")
    _require_held_back(tenant, stored, ids)
    _reload(tenant, low, "max_file: 64MB")
    tenant.wait_stored(300, seconds=90)
    tenant.wait_confirmed()
    tenant.streamer.wait_ready()
    tenant.require_exact(*range(1, 301))


@_new_pair
@pytest.mark.parametrize("limits, wanted, said", [
    ("max_streams: 1", {}, "maximum number of streams reached"),
    ("max_file: 64MB", {}, "insufficient storage resources available"),
    ("max_bytes_required: true", {"max_bytes": -1}, "requires a stream config to have max bytes set"),
])
def test_an_account_that_has_no_room_for_what_is_to_be_made_is_refused(new_pair, tenants, limits, wanted, said):
    tenant = tenants(new_pair, nats_lines=_account(limits), setup=False, overrides={"transport.nats.jetstream": wanted})
    message = refused(tenant.streamer, 78, "configuration", "setup")
    assert said in message
    tenant.streamer.start(wait=False)
    assert said in stopped(tenant.streamer, 78, "configuration")
    assert tenant.value("SELECT count(*) FROM pg_replication_slots") == 0, "a slot pins WAL that nobody reads"


def test_an_account_with_a_storage_limit_on_a_server_that_leaves_holes_is_refused(tenants):
    """nats-server 2.9 stores a message that exceeds the limit, removes it and refuses it: its sequence is used, and the next one
    is stored behind the hole if it is small enough."""
    old = PAIRS[0]
    tenant = tenants(old, nats_lines=_account("max_file: 64MB"), setup=False,
                     overrides={"transport.nats.jetstream": {"max_bytes": -1}})
    assert "leaves a hole" in refused(tenant.streamer, 78, "configuration", "setup")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 78, "configuration")
    assert tenant.name not in tenant.administrator.names() and tenant.holder() is None
    # As the remedy says.
    _reload(tenant, "max_file: 64MB", "max_file: -1")
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)


@_new_pair
def test_a_message_that_an_account_has_no_room_for_is_not_passed_over_by_a_smaller_one(new_pair, tenants):
    """Whatever the streamer does when it is refused, it must not go on over it."""
    low = "max_file: 100000"
    tenant = tenants(new_pair, nats_lines=_account(low), overrides={"transport.nats.jetstream": {"max_bytes": -1}})
    tenant.commit(1, note="a" * 30_000)
    tenant.commit(2, note="b" * 80_000)
    tenant.commit(3)
    tenant.commit(4)
    tenant.streamer.start(wait=False)
    wait_until(lambda: _refused(tenant.streamer) and record_entries(tenant.streamer, "resynchronised"), 30,
               "JetStream refuses a message")
    assert tenant.stored() == [1]
    _tries_again(tenant.streamer, _ACCOUNT_IS_FULL)
    assert tenant.stored() == [1]
    _reload(tenant, low, "max_file: 64MB")
    tenant.wait_stored(4, seconds=90)
    tenant.wait_confirmed()
    tenant.require_exact(1, 2, 3, 4)


def _connected(port: int) -> socket.socket | None:
    """A connection to nats-server, if it takes another one."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    said = b""
    try:
        connection.sendall(b"CONNECT {}\r\nPING\r\n")
        while b"PONG" not in said and (data := connection.recv(4096)):
            said += data
    except OSError:
        # It hangs up on whom it refuses.
        pass
    if b"PONG" in said:
        return connection
    connection.close()
    return None


def test_a_nats_server_that_takes_no_more_connections_is_tried_again_until_it_does(single_pair, tenants):
    tenant = tenants(single_pair, nats_lines=("max_connections: 8",))
    tenant.commit_each(1, 20)
    taken = []
    try:
        while connection := _connected(tenant.nats.servers[0].port):
            taken.append(connection)
        tenant.streamer.start(wait=False)
        wait_until(lambda: len(record_entries(tenant.streamer, "interrupted, trying again")) > 1, 60, "it tries again")
        assert (_answers(tenant.streamer, "/livez"), _answers(tenant.streamer, "/readyz")) == (200, 503)
        refused(tenant.another(), 69, "unreachable", "setup")
        assert tenant.streamer.running, tenant.streamer.last_words()
    finally:
        for connection in taken:
            connection.close()
    tenant.wait_stored(20)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 21))
