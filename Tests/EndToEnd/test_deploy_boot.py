"""The service in a Debian that runs systemd, as deploy/docs/packages.md has it: of the tarball, and of the package from its installation to
its removal."""

import re
import shutil

import pytest

from debian import Booted
from hooks import Receiver
from released import one, place, release  # noqa: F401
from servers.tools import CHECKOUT, free_port, wait_until
from streamer import toml
from tenants import own, tenant_maker, tenants  # noqa: F401

_UNIT = "slotstream.service"
_OTHER = "slotstream@other.service"
_OBSERVER = "slotstream-observer.service"
_CREDENTIALS = "/etc/slotstream/credentials"
_DROP_IN = f"/etc/systemd/system/{_UNIT}.d/stuck.conf"
# It stands still when its first event is stored, and its times are short.
_STUCK = """[Service]
Environment=SLOTSTREAM_FAILPOINT=after_ack=hang:1 SLOTSTREAM_LONG_TIMES=liveness=2000
WatchdogSec=4
"""


@pytest.fixture
def machine(place, request) -> Booted:
    """A Debian with its systemd."""
    made = Booted(place / request.node.originalname)
    yield made
    made.close()


def _configured(machine: Booted, tenant, name: str = "slotstream") -> None:
    """What an administrator writes: a configuration of that name, and its secret."""
    tables = {table: dict(values) for table, values in tenant.overrides.items()}
    secret = "postgres.url" if name == "slotstream" else f"{name}.url"
    tables["source"] |= {"url_file": f"${{CREDENTIALS:-{_CREDENTIALS}/}}{secret}"}
    tables["transport.nats"] |= {"url": tenant.nats.url}
    tables["http"] = {"listen": f"127.0.0.1:{free_port()}"}
    machine.write(f"/etc/slotstream/{name}.toml", toml(tables))
    machine.write(f"{_CREDENTIALS}/{secret}", f"{tenant.conninfo}\n", 0o600)


def _wait(machine: Booted, state: str, seconds: float = 60, unit: str = _UNIT) -> None:
    wait_until(lambda: machine.show(unit, "ActiveState") == state, seconds, f"{unit} is {state}", 0.2)


def test_the_tarballs_service_streams_after_the_commands_of_its_page(machine, place, newest_pair, own):
    tarball = one(release(place / "tarball", "tarball"), "*.tar.gz")
    machine.apt("update")
    shutil.copy(tarball, machine.folder / "srv")
    section = (CHECKOUT / "deploy/docs/packages.md").read_text().partition("## The tarball")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        machine.run("bash", "-e", "-c", "cd /srv\n" + block.replace("apt-get install", "apt-get install -y --no-install-recommends")
                    .replace("slotstream-0.1.0-linux-amd64.tar.gz", tarball.name))
    tenant = own(newest_pair, setup=False)
    _configured(machine, tenant)
    machine.run("systemctl", "enable", "--now", _UNIT)
    assert machine.run("readlink", f"/proc/{machine.show(_UNIT, 'MainPID')}/exe").stdout == "/usr/local/bin/slotstream\n"
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    machine.run("systemctl", "stop", _UNIT)
    assert machine.show(_UNIT, "Result") == "success"
    tenant.require_exact(1, 2, 3)


def test_the_service_lives_from_its_installation_to_its_removal(machine, place, newest_pair, own):
    machine.install(one(release(place / "first", "deb"), "*.deb"))
    assert machine.show(_UNIT, "UnitFileState") == "disabled"
    assert machine.show(_UNIT, "ActiveState") == "inactive"
    tenant = own(newest_pair, setup=False)

    # Without a database it stops for good, and says why.
    machine.write(f"{_CREDENTIALS}/postgres.url", "", 0o600)
    machine.run("systemctl", "start", _UNIT, expect=1)
    _wait(machine, "failed")
    assert machine.show(_UNIT, "ExecMainStatus") == "78" and machine.show(_UNIT, "NRestarts") == "0"
    assert "postgres.url" in machine.journal(_UNIT)

    # `systemctl enable --now` returns when it streams. The secret is read by root, and by the streamer's user as a copy.
    _configured(machine, tenant)
    machine.run("systemctl", "enable", "--now", _UNIT)
    assert machine.show(_UNIT, "ActiveState") == "active"
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    assert machine.run("stat", "--format", "%U", f"/proc/{machine.show(_UNIT, 'MainPID')}").stdout == "slotstream\n"
    assert "streaming" in machine.show(_UNIT, "StatusText").lower()
    machine.run("slotstream", "health", "--ready", "--config", "/etc/slotstream/slotstream.toml")
    machine.run("slotstream", "status", "--config", "/etc/slotstream/slotstream.toml")

    # One that is stuck is ended and started again, and so is one that is killed.
    machine.write(_DROP_IN, _STUCK)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", _UNIT)
    tenant.commit_each(4, 4)
    wait_until(lambda: "Watchdog timeout" in machine.journal(_UNIT), 60, "systemd misses its sign of life", 0.5)
    wait_until(lambda: int(machine.show(_UNIT, "NRestarts")) > 0, 60, "it is started again", 0.2)
    (machine.folder / _DROP_IN.lstrip("/")).unlink()
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "kill", "--signal=KILL", _UNIT)
    tenant.commit_each(5, 6)
    tenant.wait_stored(6)
    _wait(machine, "active")

    # A second slot on the same machine.
    other = own(newest_pair, setup=False)
    _configured(machine, other, "other")
    machine.run("systemctl", "start", _OTHER)
    other.commit_each(1, 2)
    other.wait_stored(2)

    # An upgrade restarts it and does not wait; a server that is away holds nothing up.
    tenant.nats.kill()
    before = machine.show(_UNIT, "MainPID")
    machine.install(one(release(place / "second", "--revision", "2", "deb"), "*.deb"))
    wait_until(lambda: machine.show(_UNIT, "MainPID") not in (before, "0"), 120, "the new program runs", 0.2)
    assert machine.show(_UNIT, "ActiveState") == "activating"
    tenant.commit_each(7, 9)
    tenant.nats.start()
    _wait(machine, "active")
    tenant.wait_stored(9)
    tenant.wait_confirmed()
    wait_until(lambda: machine.show(_OTHER, "ActiveState") == "active", 60, "the second one streams too", 0.2)

    # What the unit forbids is nothing that the program does.
    assert not re.search("not permitted|Permission denied|thread priority", machine.journal(_UNIT))

    # A removal stops it, and says what stays.
    said = machine.apt("remove", "slotstream")
    assert machine.show(_UNIT, "ActiveState") == "inactive"
    assert f"'{tenant.name}', '{tenant.name}_anchor'" in said and f"'{other.name}'" in said and "holding WAL" in said
    tenant.wait_free()
    other.wait_free()
    machine.run("rm", "/etc/slotstream/other.toml")
    assert "pg_drop_replication_slot" in machine.apt("purge", "slotstream")
    assert not machine.has("/etc/slotstream")
    assert not machine.has(f"/etc/systemd/system/multi-user.target.wants/{_UNIT}")
    tenant.require_exact(*range(1, 10))


def test_the_observer_s_service_posts_with_what_root_alone_can_read(machine, place, newest_pair, own):
    machine.install(one(release(place / "observer", "deb"), "*.deb"))
    assert machine.show(_OBSERVER, "UnitFileState") == "disabled" and machine.show(_OBSERVER, "ActiveState") == "inactive"
    tenant = own(newest_pair, setup=False)
    receiver = Receiver(place / "receiver")
    try:
        _configured(machine, tenant)
        configuration = machine.read("/etc/slotstream/slotstream.toml")

        # A mistake stops it for good, and the journal has it.
        machine.write("/etc/slotstream/slotstream.toml", configuration + "[observers.made]\nactoins = []\n")
        machine.run("systemctl", "start", _OBSERVER, expect=None)
        _wait(machine, "failed", unit=_OBSERVER)
        assert machine.show(_OBSERVER, "ExecMainStatus") == "78" and "actoins" in machine.journal(_OBSERVER)

        machine.write("/etc/slotstream/slotstream.toml", configuration + toml({
            "observer_worker": {"listen": f"127.0.0.1:{free_port()}", "allow_private_hosts": True},
            "observers.made": {"entity": "Item", "actions": [{"type": "webhook", "url_env": "MADE_URL"}]}}))
        machine.write("/etc/slotstream/observer.env", f"MADE_URL={receiver.url()}\n", 0o600)
        machine.run("systemctl", "reset-failed", _OBSERVER)
        machine.run("systemctl", "enable", "--now", _UNIT, _OBSERVER)
        tenant.commit_each(1, 3)
        assert [arrival.json["n"] for arrival in receiver.wait_count(3)] == [1, 2, 3]
        assert machine.run("stat", "--format", "%U", f"/proc/{machine.show(_OBSERVER, 'MainPID')}").stdout == "slotstream\n"
        [commands] = re.findall(r"```sh\n(set -a; .*?)```", (CHECKOUT / "deploy/docs/packages.md").read_text(), re.DOTALL)
        wait_until(lambda: "WORKING" in machine.run("bash", "-c", commands, expect=None).stdout, 30, "the page's commands show it")

        # One that is killed is started again.
        machine.run("systemctl", "kill", "--signal=KILL", _OBSERVER)
        tenant.commit_each(4, 4)
        receiver.wait(lambda arrivals: any(arrival.json["n"] == 4 for arrival in arrivals), "it goes on", 120)
        assert not re.search("not permitted|Permission denied|thread priority", machine.journal(_OBSERVER))
        machine.run("systemctl", "stop", _OBSERVER)
        assert machine.show(_OBSERVER, "Result") == "success"
        assert receiver.url() not in machine.journal(_OBSERVER), "an address can be a secret"

        machine.apt("remove", "slotstream")
        machine.apt("purge", "slotstream")
        assert not machine.has("/etc/slotstream")
        assert not machine.has(f"/etc/systemd/system/multi-user.target.wants/{_OBSERVER}")
    finally:
        receiver.close()
