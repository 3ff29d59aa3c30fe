"""The program under test: configured, started, watched, killed."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from servers.tools import (dying_with_us, free_port, freeze, processor_seconds, slotstream_binary, thaw,
                           unconfiguring_environment, wait_until)

# A server did not answer: "restarting is useful".
_UNREACHABLE = 69


def toml(tables: dict[str, dict]) -> str:
    """A TOML document of the given tables."""
    lines = []
    for table, values in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{json.dumps(key)} = {_literal(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _literal(value) -> str:
    """JSON's literals are TOML's too, all but objects."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class Streamer:
    """One `slotstream`, with its configuration in `folder`."""

    title = "the streamer"

    def __init__(self, folder: Path, postgres_url: str, nats_url: str, overrides: dict[str, dict] | None = None,
                 prefix: list[str] | None = None, environment: dict[str, str] | None = None, binary: Path | None = None):
        self._prepare(folder, binary or slotstream_binary(), prefix, environment)
        self._configure({
            "source": {"url": postgres_url},
            "transport.nats": {"url": nats_url},
            "transport.nats.jetstream": {},
            # Most tests are about the one slot; those of the replay window set it.
            "replay": {"window": "0"},
            "http": {"listen": self.http},
            "log": {"format": "json", "level": "debug"},
        }, overrides)

    def _prepare(self, folder: Path, binary: Path, prefix: list[str] | None, environment: dict[str, str] | None) -> None:
        """All but its configuration."""
        self.binary = binary
        self.folder = folder
        folder.mkdir(parents=True)
        self.http = f"127.0.0.1:{free_port()}"
        self.config = folder / "slotstream.toml"
        self.log = folder / "slotstream.log"
        self.prefix = prefix or []
        self.environment = unconfiguring_environment() | (environment or {})
        self.process: subprocess.Popen | None = None
        # Where in the log, in bytes, the process under way begins.
        self.log_start = 0

    def _configure(self, tables: dict[str, dict], overrides: dict[str, dict] | None) -> None:
        """Writes its configuration."""
        for table, values in (overrides or {}).items():
            tables[table] = tables.get(table, {}) | values
        self.config.write_text(toml(tables))

    def command(self, *arguments: str, expect: int | None = 0, seconds: float = 60,
                answer: str | None = None) -> subprocess.CompletedProcess:
        """Runs another command of the program to its end; fails unless it exits with `expect` (None: any). `answer`: what it reads when it asks.

        A cluster that elects a leader leaves requests without an answer, and a machine that stands still for two seconds a
        connect: then 69 says to try again, as is done here for a minute.
        """
        is_repeated = expect not in (None, _UNREACHABLE)
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run([*self.prefix, str(self.binary), *arguments, "--config", str(self.config)],
                                  capture_output=True, text=True, cwd=self.folder, env=self.environment, timeout=seconds, input=answer)
            if done.returncode != _UNREACHABLE or not is_repeated or time.monotonic() > deadline:
                break
        said = f"{self.binary.name} {' '.join(arguments)} exited with {done.returncode}: {done.stderr[-3000:]}"
        assert expect is None or done.returncode == expect, said
        return done

    def begin(self, *arguments: str) -> tuple[subprocess.Popen, Path]:
        """Another command of the program, in the background, and the file with what it says of itself."""
        said = self.folder / f"{arguments[0]}.err"
        with said.open("wb") as errors:
            return subprocess.Popen([*self.prefix, str(self.binary), *arguments, "--config", str(self.config)], cwd=self.folder,
                                    env=self.environment, stdout=subprocess.DEVNULL, stderr=errors), said

    def keep_other_times(self, **milliseconds: int) -> None:
        """From the next start on: these of the program's long times (`LongTime`) are so many milliseconds."""
        self.environment["SLOTSTREAM_LONG_TIMES"] = ",".join(f"{name}={time}" for name, time in milliseconds.items())

    def setup(self) -> None:
        """`slotstream setup`: publication, stream, bucket, slot, record, consumer."""
        self.command("setup")

    def start(self, wait: bool = True) -> None:
        """`slotstream run`, in the background; waits until it is ready unless told otherwise."""
        with self.log.open("ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                [*dying_with_us(), *self.prefix, str(self.binary), "run", "--config", str(self.config)], cwd=self.folder,
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds: float = 30) -> None:
        """Until /readyz says 200; a streamer that has ended fails at once, with its last words."""
        wait_until(lambda: self._alive() and self._ready(), seconds, f"{self.title} is ready: {self.log}")

    def wait_streaming(self, seconds: float = 30) -> None:
        """Until it holds the slot and is ready (whoever stands by is ready too); asked over HTTP, so not in a network namespace."""
        def streams() -> bool:
            status = self._alive() and self.status()
            return status["role"] == "active" and status["ready"]

        wait_until(streams, seconds, f"the streamer streams: {self.log}")

    def _ready(self) -> bool:
        if self.prefix:
            # In a network namespace of its own: it is asked from inside.
            return self.command("health", "--ready", expect=None).returncode == 0
        return bool(self.get("/readyz"))

    def _alive(self) -> bool:
        assert self.process.poll() is None, f"{self.title} ended with {self.process.returncode}: {self.last_words()}"
        return True

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def freeze(self) -> None:
        """SIGSTOP, and waits until it stands still."""
        freeze(self.process)

    def thaw(self) -> None:
        """SIGCONT."""
        thaw(self.process)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds: float = 80) -> int:
        """SIGTERM; returns the exit code (after at most 75 s it is 0, says the contract)."""
        # In its first moments it has no handler, and would end as any process does.
        wait_until(lambda: not self.running or self._heeds(signal.SIGTERM), 30, f"{self.title} handles SIGTERM", 0.01)
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def _heeds(self, number: int) -> bool:
        """Whether that signal no longer does what it does by default."""
        return any(int(self._proc(mask), 16) >> (number - 1) & 1 for mask in ("SigCgt", "SigIgn"))

    def wait(self, seconds: float) -> int:
        """The exit code, when it ends by itself within that time."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.title} still runs after {seconds:g} s: {self.last_words()}") from None

    def get(self, path: str, seconds: float = 10) -> str:
        """The body of an HTTP answer with status 200; other statuses raise."""
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=seconds) as answer:
            return answer.read().decode()

    def status(self) -> dict:
        """GET /status."""
        return json.loads(self.get("/status"))

    def in_flight(self) -> int | None:
        """Messages handed over and not acknowledged, as /status has it; None when it does not answer."""
        try:
            return self.status()["in_flight"]["messages"]
        except (OSError, urllib.error.URLError, KeyError):
            return None

    def metric(self, name: str) -> float:
        """The sum of a metric's series in /metrics; fails when there is none."""
        found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)", self.get("/metrics"), re.MULTILINE)
        assert found, f"no metric {name}"
        return sum(map(float, found))

    def _proc(self, name: str) -> str:
        """The value of a line of /proc/PID/status, without its unit."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return re.search(rf"^{name}:\s+(\S+)", text, re.MULTILINE)[1]

    def peak_memory(self) -> int:
        """The largest anonymous memory so far, in bytes: what a container's limit kills for. Pages of files, which the kernel takes back
        where it needs them, are what they are now: there are hardly more at any other time."""
        return (int(self._proc("VmHWM")) - int(self._proc("RssFile"))) * 1024

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return processor_seconds(self.process.pid)

    def log_entries(self, start: int = 0) -> list[dict]:
        """The structured log so far, from this byte on; lines that are no JSON are left out."""
        entries = []
        for line in self.log.read_bytes()[start:].decode(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def last_words(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else "no log"

    def close(self) -> None:
        """Ends it, however it stands."""
        if self.running:
            self.thaw()
            self.kill()
