"""What a supervisor sees of the streamer: systemd by its socket, the kubelet by the termination file and by a process that stays."""

import json
import os
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from servers.tools import wait_until
from tenants import record_entries, tenant_maker, tenants  # noqa: F401


class Manager:
    """The socket that systemd would listen at, and the lines that came to it."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def lines(self) -> list[str]:
        """All that has come up to now."""
        while True:
            try:
                self.heard += self.socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return self.heard

    def close(self) -> None:
        self.socket.close()


def _managed(tenant, abstract: bool) -> Manager:
    address = f"@slotstream-{os.getpid()}-{tenant.name}" if abstract else str(tenant.servers.folder / f"{tenant.name}.notify")
    tenant.streamer.environment |= {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}
    return Manager(address)


def _is_gone_on_with(tenant) -> None:
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_systemd_hears_that_it_is_ready_what_it_does_that_it_lives_and_that_it_stops(pair, tenants, abstract):
    tenant = tenants(pair)
    with closing(_managed(tenant, abstract)) as manager:
        tenant.nats.pause()
        try:
            tenant.streamer.start(wait=False)
            wait_until(lambda: any(line.startswith("STATUS=waiting: ") for line in manager.lines()), 30, "it says what it waits for")
            wait_until(lambda: manager.lines().count("WATCHDOG=1") > 3, 30, "it lives while it waits")
            assert "READY=1" not in manager.lines()
        finally:
            tenant.nats.resume()
        wait_until(lambda: "READY=1" in manager.lines(), 60, "it is ready")
        wait_until(lambda: any(line.startswith("STATUS=streaming") for line in manager.lines()), 30, "it says that it streams")
        assert tenant.streamer.terminate() == 0
        assert manager.lines()[-2:] == ["STOPPING=1", "STATUS=stopping: waiting for acks"]
        assert manager.lines().count("READY=1") == 1


def test_systemd_hears_of_a_standby_that_it_is_ready(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.streamer, holder = tenant.another({}), tenant.streamer
    with closing(_managed(tenant, abstract=False)) as manager:
        tenant.streamer.start(wait=False)
        wait_until(lambda: {"READY=1", "STATUS=standing by"} <= set(manager.lines()), 60, "it stands by and is ready")
        assert tenant.streamer.terminate() == 0
    assert holder.terminate() == 0


def test_a_manager_that_does_not_listen_holds_nothing_up(one_pair, tenants):
    tenant = tenants(one_pair)
    for address in ("/nowhere/notify", "relative", "@" + 200 * "x", "@slotstream-nobody-listens"):
        tenant.streamer.environment |= {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "not a number"}
        tenant.streamer.start()
        assert tenant.streamer.terminate() == 0


def _stopped(tenant, *arguments: str) -> subprocess.Popen:
    """Streamed, then lost its slot; started again with these arguments of `run`."""
    _is_gone_on_with(tenant)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    return _run(tenant, *arguments)


def _run(tenant, *arguments: str) -> subprocess.Popen:
    log = tenant.streamer.log.open("ab")
    tenant.streamer.process = subprocess.Popen([str(tenant.streamer.binary), "run", "--config", str(tenant.streamer.config), *arguments],
                                               cwd=tenant.streamer.folder, env=tenant.streamer.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    log.close()
    return tenant.streamer.process


@pytest.fixture
def termination_file(folder):
    path = Path(folder) / "termination-log"
    path.write_text("of the container before")
    return path


def test_a_process_that_waits_after_a_stop_is_live_and_not_ready_and_says_why(pair, tenants, termination_file):
    tenant = tenants(pair)
    tenant.streamer = tenant.another({"log": {"termination_file": str(termination_file), "format": "json"}})
    process = _stopped(tenant, "--on-stop", "wait")
    wait_until(lambda: record_entries(tenant.streamer, "waiting until somebody mends the cause"), 60, "it waits")
    said = termination_file.read_text().splitlines()
    assert said[0] == "slot_missing, exit code 73" and tenant.name in said[1] and said[2].startswith("  "), said
    assert json.loads(tenant.streamer.get("/livez")) == {"live": True}
    answer = subprocess.run([str(tenant.streamer.binary), "health", "--ready", "--config", str(tenant.streamer.config)],
                            cwd=tenant.streamer.folder, env=tenant.streamer.environment, capture_output=True, text=True)
    assert answer.returncode == 1 and "stopped: slot_missing: " in answer.stdout, answer.stdout
    status = tenant.streamer.status()
    assert (status["role"], status["live"], status["ready"]) == ("stopped", True, False)
    assert status["reasons"][0].startswith("stopped: slot_missing: ")
    assert tenant.streamer.metric('slotstream_role{role="stopped"}') == 1
    assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 73


def test_a_process_that_waits_looks_at_the_slot_and_streams_on_once_the_cause_is_mended(pair, tenants, termination_file):
    tenant = tenants(pair)
    tenant.streamer = tenant.another({"log": {"termination_file": str(termination_file), "format": "json"}})
    tenant.streamer.keep_other_times(mending=300)
    _is_gone_on_with(tenant)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    # Refused for what an administrator takes back.
    tenant.administrator.update(tenant.name, no_ack=True)
    process = _run(tenant, "--on-stop", "wait")
    wait_until(lambda: record_entries(tenant.streamer, "waiting until somebody mends the cause"), 60, "it waits")
    tenant.commit(2)
    wait_until(lambda: len(record_entries(tenant.streamer, "stopped as before")) >= 3, 30, "it looks again and again")
    assert len(record_entries(tenant.streamer, "stopped")) == 1 and process.poll() is None
    # The WAL that the slot holds meanwhile is not hidden.
    wait_until(lambda: tenant.streamer.metric("slotstream_slot_retained_bytes") > 0, 30, "the slot is looked at")
    assert tenant.streamer.status()["role"] == "stopped"
    tenant.administrator.update(tenant.name, no_ack=False)
    tenant.streamer.wait_ready(60)
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    status = tenant.streamer.status()
    assert (status["role"], status["reasons"]) == ("active", [])
    process.terminate()
    assert process.wait(30) == 0
    tenant.require_exact(1, 2)


def test_the_termination_file_has_reason_and_steps_of_a_stop_and_of_a_wrong_configuration(one_pair, tenants, termination_file):
    tenant = tenants(one_pair)
    tenant.streamer = tenant.another({"log": {"termination_file": str(termination_file)}})
    assert _stopped(tenant).wait(60) == 73
    said = termination_file.read_text()
    assert said.startswith("slot_missing, exit code 73\n") and "slotstream slot advance --accept-gap" in said, said
    tenant.streamer.environment["SLOTSTREAM_SOURCE_SLOT"] = "Not A Slot"
    process = subprocess.run([str(tenant.streamer.binary), "run", "--config", str(tenant.streamer.config)], cwd=tenant.streamer.folder,
                             env=tenant.streamer.environment, capture_output=True, text=True)
    assert process.returncode == 78
    said = termination_file.read_text()
    assert said.startswith("configuration, exit code 78\n") and "source.slot" in said and "slot_missing" not in said, said


def test_a_termination_file_that_cannot_be_written_is_told_and_changes_nothing(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer = tenant.another({"log": {"termination_file": "/nowhere/termination-log"}})
    assert _stopped(tenant).wait(60) == 73
    (told,) = record_entries(tenant.streamer, "log.termination_file cannot be written")
    assert told["error"] == "/nowhere/termination-log: No such file or directory"
