"""The unit of systemd, as far as it can be judged without a systemd that runs: what it promises is what the program does."""

import re
import subprocess

from servers.tools import CHECKOUT, installed, slotstream_binary

_UNIT = CHECKOUT / "deploy/systemd/slotstream.service"


def _setting(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", _UNIT.read_text(), re.MULTILINE)


def test_it_is_not_started_again_after_exactly_the_exit_codes_that_a_restart_does_not_mend():
    table = (CHECKOUT / "deploy/docs/stops.md").read_text().partition("generated: exit codes")[2].partition("end of exit codes")[0]
    rows = re.findall(r"^\| (\d+) \|.*\| (yes|no|) \|$", table, re.MULTILINE)
    assert len(rows) > 8
    assert _setting("RestartPreventExitStatus") == [" ".join(code for code, helps in rows if helps == "no")]


def test_it_is_given_more_time_for_its_end_than_it_takes(tmp_path):
    default = subprocess.run([slotstream_binary(), "config"], check=True, capture_output=True, text=True, cwd=tmp_path, env={}).stdout
    drain = int(re.search(r'^delivery.shutdown_timeout = "(\d+)s"', default, re.MULTILINE)[1])
    assert [int(seconds) > drain for seconds in _setting("TimeoutStopSec")] == [True]


def test_systemd_accepts_it_without_a_word(tmp_path):
    """With a program where the unit has one."""
    unit = tmp_path / _UNIT.name
    unit.write_text(_UNIT.read_text().replace("/usr/bin/slotstream", str(slotstream_binary())))
    done = subprocess.run([installed("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", unit], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_its_exposure_is_at_most_two_of_ten():
    done = subprocess.run([installed("systemd-analyze"), "security", "--offline=true", "--no-pager", _UNIT], check=True, capture_output=True, text=True)
    assert float(re.search(r"Overall exposure level for slotstream.service: ([0-9.]+)", done.stdout)[1]) <= 2.0


def _read(environment: dict[str, str]) -> subprocess.CompletedProcess:
    """The example configuration, as the program reads it."""
    return subprocess.run([slotstream_binary(), "config", "--config", CHECKOUT / "deploy/systemd/slotstream.toml"], env=environment,
                          capture_output=True, text=True)


def test_the_example_configuration_reads_its_secrets_where_root_keeps_them_and_where_the_service_has_them(tmp_path):
    assert "CREDENTIALS=%d/slotstream_" in _setting("Environment")
    assert _setting("LoadCredential") == ["slotstream:/etc/slotstream/credentials"]
    secret = tmp_path / "slotstream_postgres.url"
    secret.write_text("postgres://slotstream:secret@localhost/shop\n")
    secret.chmod(0o600)
    served = _read({"CREDENTIALS": f"{tmp_path}/slotstream_"})
    assert served.returncode == 0, served.stderr
    assert f'source.url_file = "{secret}"' in served.stdout and "secret@" not in served.stdout
    by_hand = _read({})
    said = by_hand.stdout + by_hand.stderr
    assert 'source.url_file = "/etc/slotstream/credentials/postgres.url"' in said and "problems" not in said
