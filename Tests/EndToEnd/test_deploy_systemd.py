"""The units of systemd, as far as they can be judged without a systemd that runs: what they promise is what the programs do."""

import re
import subprocess
from pathlib import Path

import pytest

from servers.tools import CHECKOUT, installed, observer_binary, slotstream_binary

_SYSTEMD = CHECKOUT / "deploy/systemd"
_BINARIES = {"slotstream": slotstream_binary, "slotstream-observer": observer_binary}
# The key that says how long each takes for its end, at most.
_DRAINS = {"slotstream": "delivery.shutdown_timeout", "slotstream-observer": "observer_worker.shutdown_timeout"}

each_unit = pytest.mark.parametrize("program", _BINARIES)


def _unit(program: str) -> Path:
    return _SYSTEMD / f"{program}.service"


def _setting(program: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", _unit(program).read_text(), re.MULTILINE)


@each_unit
def test_it_is_not_started_again_after_exactly_the_exit_codes_that_a_restart_does_not_mend(program):
    table = (CHECKOUT / "deploy/docs/stops.md").read_text().partition("generated: exit codes")[2].partition("end of exit codes")[0]
    rows = re.findall(r"^\| (\d+) \|.*\| (yes|no|) \|$", table, re.MULTILINE)
    assert len(rows) > 8
    assert _setting(program, "RestartPreventExitStatus") == [" ".join(code for code, helps in rows if helps == "no")]
    assert _setting(program, "Restart") == ["on-failure"]


@each_unit
def test_it_is_given_more_time_for_its_end_than_it_takes(program, tmp_path):
    default = subprocess.run([slotstream_binary(), "config"], check=True, capture_output=True, text=True, cwd=tmp_path, env={}).stdout
    drain = int(re.search(rf'^{_DRAINS[program]} = "(\d+)s"', default, re.MULTILINE)[1])
    assert [int(seconds) > drain for seconds in _setting(program, "TimeoutStopSec")] == [True]


@each_unit
def test_systemd_accepts_it_without_a_word(program, tmp_path):
    """With a program where the unit has one."""
    unit = tmp_path / _unit(program).name
    text = _unit(program).read_text()
    for name, binary in sorted(_BINARIES.items(), reverse=True):
        text = re.sub(rf"/usr/bin/{name}(?= )", str(binary()), text)
    unit.write_text(text)
    done = subprocess.run([installed("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", unit], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@each_unit
def test_its_exposure_is_at_most_two_of_ten(program):
    done = subprocess.run([installed("systemd-analyze"), "security", "--offline=true", "--no-pager", _unit(program)], check=True, capture_output=True,
                          text=True)
    assert float(re.search(rf"Overall exposure level for {program}.service: ([0-9.]+)", done.stdout)[1]) <= 2.0


def test_both_are_hardened_alike():
    """All but what each starts, and the one's variables."""
    own = ("ExecStartPre", "ExecStart", "EnvironmentFile")
    lines = {program: [line for line in _unit(program).read_text().partition("[Service]")[2].splitlines()
                       if line and not line.startswith("#") and line.partition("=")[0] not in own] for program in _BINARIES}
    assert lines["slotstream"] == lines["slotstream-observer"] and len(lines["slotstream"]) > 30


def _read(environment: dict[str, str]) -> subprocess.CompletedProcess:
    """The example configuration, as the program reads it."""
    return subprocess.run([slotstream_binary(), "config", "--config", _SYSTEMD / "slotstream.toml"], env=environment, capture_output=True, text=True)


def test_the_example_configuration_reads_its_secrets_where_root_keeps_them_and_where_the_service_has_them(tmp_path):
    assert "CREDENTIALS=%d/slotstream_" in _setting("slotstream", "Environment")
    assert _setting("slotstream", "LoadCredential") == ["slotstream:/etc/slotstream/credentials"]
    secret = tmp_path / "slotstream_postgres.url"
    secret.write_text("postgres://slotstream:secret@localhost/shop\n")
    secret.chmod(0o600)
    served = _read({"CREDENTIALS": f"{tmp_path}/slotstream_"})
    assert served.returncode == 0, served.stderr
    assert f'source.url_file = "{secret}"' in served.stdout and "secret@" not in served.stdout
    by_hand = _read({})
    said = by_hand.stdout + by_hand.stderr
    assert 'source.url_file = "/etc/slotstream/credentials/postgres.url"' in said and "problems" not in said
