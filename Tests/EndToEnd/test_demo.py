"""`deploy/demo` as a stranger runs it: old rows are shown before the new events, and nothing is left behind, also when it is interrupted."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from servers.tools import CHECKOUT, observer_binary, slotstream_binary, unconfiguring_environment, wait_until

_DEMO = CHECKOUT / "deploy" / "demo"


@pytest.fixture
def place():
    """A folder for the demo's own, into which PostgreSQL's user may look."""
    path = Path(tempfile.mkdtemp(prefix="slotstream-e2e-demo-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def _require_nothing_left(place: Path) -> None:
    # The toolchain leaves folders of its own when it builds.
    assert [path for path in place.iterdir() if path.name.startswith("slotstream")] == []
    left = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes() if process.name.isdigit() else b""
        except OSError:
            continue
        if str(place).encode() in command:
            left.append(command)
    assert not left


# What a shell may have for servers elsewhere: nothing answers there.
_ELSEWHERE = {"FRAISEQL_NATS_URL": "nats://127.0.0.1:1", "SLOTSTREAM_SOURCE_URL": "host=127.0.0.1 port=1", "SLOTSTREAM_BINARY": "elsewhere",
              "PGHOSTADDR": "127.0.0.1", "PGPORT": "1", "DATABASE_URL": "postgres://127.0.0.1:1/x"}


def _shape(line: str) -> str:
    """A line less what differs from run to run: numbers, ids, folders."""
    return re.sub(r"(?:0x)?[0-9a-fA-F]*[0-9][0-9a-fA-F-]*", "9", re.sub(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "9", line))


def _require_excerpt_of(said: str) -> None:
    """The README shows lines of the demo, cut at 100 characters: each is there, in that order."""
    readme = (CHECKOUT / "README.md").read_text().split("deploy/demo |")[1]
    lines = iter(_shape(line) for line in said.splitlines())
    for shown in re.search(r"```\n(.*?)```", readme, re.DOTALL).group(1).splitlines():
        assert len(shown) <= 100
        assert any(line.startswith(_shape(shown).rstrip("9")) for line in lines), shown


@pytest.mark.parametrize("origin", ["installed", "built"])
def test_the_demo_shows_old_rows_before_new_events_and_leaves_nothing_behind(place, origin):
    environment = unconfiguring_environment() | _ELSEWHERE | {"TMPDIR": str(place)}
    assert not shutil.which("slotstream"), "this machine has a slotstream of its own: nothing would be built"
    if origin == "installed":
        installed = place / "bin" / "slotstream"
        installed.parent.mkdir()
        installed.symlink_to(slotstream_binary())
        environment["PATH"] = f"{installed.parent}:{environment['PATH']}"
    said = subprocess.run([_DEMO], env=environment, capture_output=True, text=True, timeout=600)
    assert said.returncode == 0, said.stderr[-2000:]
    assert (f"taking {place}" in said.stderr) == (origin == "installed")
    events = re.findall(r"^  [0-9:.]{12}  #(\d)  (\w+(?: [A-Z]+)?)  ", said.stdout, re.MULTILINE)
    # Two rows from before between the markers of their backfill, and then what happened to them.
    assert events == [(str(sequence), name) for sequence, name in enumerate(
        ("BACKFILL", "Order READ", "Order READ", "BACKFILL", "BACKFILL", "Order UPDATE", "Order DELETE", "Order INSERT", "Invoice SENT"), 1)], said.stdout
    assert re.findall(r"  BACKFILL  backfill 1: (.*)", said.stdout) == ["begins: public.tb_order", "public.tb_order read: 2 rows", "ends: 2 rows"], said.stdout
    assert "run 1: done, public.tb_order, 2 rows, 100 %" in said.stdout
    ids = re.findall(r"  Order (\w+)  ([0-9a-f]{8})… ", said.stdout)
    # The rows that were read are those that are changed next.
    assert [identifier for operation, identifier in ids if operation == "READ"] == [dict(ids)["UPDATE"], dict(ids)["DELETE"]], said.stdout
    assert "● STREAMING" in said.stdout
    _require_excerpt_of(said.stdout)
    _require_nothing_left(place)


def test_the_demo_of_the_observer_shows_a_way_through_failures_and_leaves_nothing_behind(place):
    programs = place / "bin"
    programs.mkdir()
    for binary in (slotstream_binary(), observer_binary()):
        (programs / binary.name).symlink_to(binary.resolve())
    environment = unconfiguring_environment() | _ELSEWHERE | {"TMPDIR": str(place), "PATH": f"{programs}:{os.environ['PATH']}"}
    said = subprocess.run([_DEMO, "--observer"], env=environment, capture_output=True, text=True, timeout=600)
    assert said.returncode == 0, said.stderr[-2000:]
    requests = re.findall(r"^  POST /orders  order [0-9a-f]{8}…  \d ([A-Z][\w ]+)  attempt (\d)  → (\d+) ", said.stdout, re.MULTILINE)
    assert requests == [("Main Street", "1", "200"), *(("Side Street", str(attempt), status) for attempt, status in enumerate(("503", "503", "200"), 1)),
                        ("Nowhere", "1", "400"), ("Nowhere", "2", "200")], said.stdout
    # One dead letter, and then none.
    before, after = said.stdout.split("$ slotstream-observer dead list")[1:]
    assert "new_order" in before.split("$ ")[0] and "new_order" not in after.split("$ ")[0], said.stdout
    _require_nothing_left(place)


def test_a_demo_that_stays_up_ends_at_ctrl_c(place):
    output = place.with_suffix(".log")
    try:
        with output.open("w") as log:
            # Whoever runs the tests in the background may have them ignore SIGINT, and a shell cannot trap what it was born to ignore.
            demo = subprocess.Popen(["env", "--default-signal=INT", _DEMO, "--keep", "--binary", slotstream_binary()], stdout=log, stderr=log, start_new_session=True,
                                    env=unconfiguring_environment() | {"TMPDIR": str(place)})
        wait_until(lambda: demo.poll() is not None or "\n  logs " in output.read_text(), 300, "it stays up", 0.2)
        assert demo.poll() is None, output.read_text()
        watch = next(line.split()[1:] for line in output.read_text().splitlines() if line.strip().startswith("look "))
        assert "● STREAMING" in subprocess.run(watch, env=unconfiguring_environment(), capture_output=True, text=True, timeout=60).stdout
        # As a terminal does it: to all of its group.
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(60) == 130
    finally:
        output.unlink()
    _require_nothing_left(place)
