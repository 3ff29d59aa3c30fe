"""What surrounds the process: its log, its signals, its descriptors, whoever asks it over HTTP, and servers that say too much."""

import fcntl
import os
import pty
import signal
import socket
import subprocess
import termios
from contextlib import closing

import pytest

from servers.tools import dying_with_us, wait_until
from streamer import Streamer
from tenants import record_entries, tenant_maker, tenants  # noqa: F401

_F_SETPIPE_SZ = 1031
_TOLD = "told to stop"


def _start(streamer: Streamer, before: tuple[str, ...] = (), **options) -> None:
    """`run`, with what stands before its command and the options of Popen."""
    log = streamer.log.open("ab")
    options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "start_new_session": True} | options
    streamer.process = subprocess.Popen([*dying_with_us(), *before, str(streamer.binary), "run", "--config", str(streamer.config)],
                                        cwd=streamer.folder, env=streamer.environment, **options)
    log.close()


def _streams(tenant, first: int, last: int) -> None:
    """It is ready, and what is committed now is stored and confirmed."""
    tenant.streamer.wait_ready()
    tenant.commit_each(first, last)
    tenant.wait_stored(last)
    tenant.wait_confirmed()


def test_a_log_that_nobody_reads_holds_nothing_up(pair, tenants):
    """The pipe is full from the start: the first line of the log finds no room."""
    tenant = tenants(pair)
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, _F_SETPIPE_SZ, 4096)
    os.write(write_end, b"\n" * 4096)
    _start(tenant.streamer, stderr=write_end)
    os.close(write_end)
    try:
        _streams(tenant, 1, 20)
        assert tenant.streamer.terminate(seconds=30) == 0
    finally:
        os.close(read_end)
    tenant.require_exact(*range(1, 21))


def test_a_log_whose_reader_has_gone_holds_nothing_up_and_is_counted(pair, tenants):
    """From the first line on, before any library has put SIGPIPE away."""
    tenant = tenants(pair)
    read_end, write_end = os.pipe()
    os.close(read_end)
    _start(tenant.streamer, stderr=write_end)
    os.close(write_end)
    _streams(tenant, 1, 20)
    assert tenant.streamer.metric("slotstream_log_lines_dropped_total") > 0
    assert tenant.streamer.terminate() == 0
    tenant.require_exact(*range(1, 21))


def test_descriptors_that_are_closed_are_not_given_to_sockets(pair, tenants):
    tenant = tenants(pair)
    _start(tenant.streamer, ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"))
    _streams(tenant, 1, 20)
    for descriptor in range(3):
        assert os.readlink(f"/proc/{tenant.streamer.process.pid}/fd/{descriptor}") == "/dev/null"
    assert tenant.streamer.terminate() == 0
    tenant.require_exact(*range(1, 21))


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGUSR2"])
def test_a_signal_that_asks_for_something_else_than_the_end_is_told_and_changes_nothing(pair, tenants, name):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.streamer.process.send_signal(signal.Signals[name])
    wait_until(lambda: [entry for entry in record_entries(tenant.streamer, "this signal does nothing: restart the process to apply a changed configuration")
                        if entry["signal"] == name], 10, f"{name} is told")
    _streams(tenant, 1, 20)
    assert not record_entries(tenant.streamer, _TOLD)
    assert tenant.streamer.terminate() == 0
    tenant.require_exact(*range(1, 21))


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGQUIT", "SIGALRM", "SIGXCPU", "SIGPWR", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGRTMIN"])
def test_every_other_signal_ends_it_in_order_and_is_told(pair, tenants, name):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit_each(1, 20)
    tenant.streamer.process.send_signal(signal.Signals[name])
    assert tenant.streamer.wait(80) == 0
    assert len(record_entries(tenant.streamer, _TOLD)) == 1
    assert record_entries(tenant.streamer, "stopped: all received changes are stored and confirmed")
    tenant.streamer.start()
    tenant.wait_stored(20)
    tenant.require_exact(*range(1, 21))


def test_a_terminal_that_goes_ends_it_in_order(pair, tenants):
    tenant = tenants(pair)
    primary, secondary = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    _start(tenant.streamer, stdin=secondary, preexec_fn=take_terminal)
    os.close(secondary)
    _streams(tenant, 1, 20)
    os.close(primary)
    assert tenant.streamer.wait(80) == 0
    assert [entry["signal"] for entry in record_entries(tenant.streamer, _TOLD)] == ["SIGHUP"]
    tenant.require_exact(*range(1, 21))


def test_a_hangup_that_nohup_put_away_stays_away(pair, tenants):
    tenant = tenants(pair)
    _start(tenant.streamer, ("sh", "-c", 'trap "" HUP; exec "$@"', "sh"))
    tenant.streamer.wait_ready()
    tenant.streamer.process.send_signal(signal.SIGHUP)
    _streams(tenant, 1, 20)
    assert tenant.streamer.terminate() == 0
    assert not [entry for entry in tenant.streamer.log_entries() if entry.get("signal") == "SIGHUP"]


@pytest.mark.parametrize("said", [b"", b"GET /livez HTT", b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\nx"],
                         ids=["idle", "head", "body"])
def test_probes_are_answered_beside_clients_that_hold_their_connections(pair, tenants, said):
    tenant = tenants(pair)
    tenant.streamer.start()
    host, _, port = tenant.streamer.http.rpartition(":")
    clients = []
    try:
        for _ in range(300):
            client = socket.create_connection((host, int(port)), timeout=5)
            clients.append(client)
            client.sendall(said)
        for _ in range(20):
            assert tenant.streamer.get("/livez", seconds=1) and tenant.streamer.get("/readyz", seconds=1)
        tenant.streamer.command("health")
        tenant.streamer.command("health", "--ready")
    finally:
        for client in clients:
            client.close()


def test_a_page_in_a_browser_cannot_read_it_under_a_name_of_its_own(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    host, _, port = tenant.streamer.http.rpartition(":")
    for name, code in (("evil.example", b"421"), (f"evil.example:{port}", b"421"), (f"localhost:{port}", b"200")):
        with closing(socket.create_connection((host, int(port)), timeout=5)) as client:
            client.sendall(f"GET /status HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert answer.split(b" ")[1] == code
        assert (tenant.name.encode() in answer) == (code == b"200")


# On PostgreSQL 17 and later whoever owns the database may say what he likes to everybody who connects.
_LOGIN_TRIGGER = """
CREATE FUNCTION greet() RETURNS event_trigger LANGUAGE plpgsql SET client_min_messages = notice AS $$ BEGIN
    IF current_setting('application_name') = 'slotstream' THEN {body} END IF;
END $$;
CREATE EVENT TRIGGER greet ON login EXECUTE FUNCTION greet();
ALTER EVENT TRIGGER greet ENABLE ALWAYS;
-- The foreigner's own second may pass while the trigger writes, before a session can set its limits.
DO $$ BEGIN EXECUTE format('ALTER ROLE foreigner IN DATABASE %I SET transaction_timeout = 0', current_database()); END $$
"""
_LINE_BYTES = 100_000
_LOG_BYTES = 3_000_000


def _require_bounded(streamer: Streamer) -> None:
    lines = streamer.log.read_bytes().splitlines()
    assert max(map(len, lines)) < _LINE_BYTES
    assert sum(map(len, lines)) < _LOG_BYTES


@pytest.mark.parametrize("body", ["RAISE NOTICE '%', repeat('x', 50000000);",
                                  "FOR i IN 1..20000 LOOP RAISE NOTICE 'flood % %', i, repeat('x', 1000); END LOOP;"], ids=["huge", "many"])
def test_notices_of_a_server_without_measure_do_not_fill_the_log(newest_pair, tenants, body):
    tenant = tenants(newest_pair)
    tenant.run(_LOGIN_TRIGGER.format(body=body))
    tenant.streamer.start()
    _streams(tenant, 1, 20)
    assert record_entries(tenant.streamer, "PostgreSQL says"), "the trigger was not fired"
    _require_bounded(tenant.streamer)
    if "LOOP" in body:
        assert tenant.streamer.metric("slotstream_log_lines_dropped_total") > 10_000
    assert tenant.streamer.terminate() == 0
    tenant.require_exact(*range(1, 21))


def test_an_error_of_a_server_without_measure_does_not_fill_the_log(newest_pair, tenants):
    tenant = tenants(newest_pair)
    tenant.streamer.start()
    tenant.run(_LOGIN_TRIGGER.format(body="RAISE EXCEPTION '%', repeat('x', 50000000);"))
    tenant.terminate_holder()
    wait_until(lambda: len(record_entries(tenant.streamer, "interrupted, trying again")) > 2, 60, "it is refused")
    _require_bounded(tenant.streamer)
    assert len(tenant.streamer.get("/status")) < _LINE_BYTES
    tenant.run("DROP EVENT TRIGGER greet")
    _streams(tenant, 1, 20)
    assert tenant.streamer.terminate() == 0
    tenant.require_exact(*range(1, 21))
