"""A terminal of 80 columns, as a command sees one: its output, its errors and its input are one pseudo-terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

from streamer import Streamer

COLUMNS = 80
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command of the program in a terminal; what it printed so far is `text`, as it came."""

    def __init__(self, streamer: Streamer, *arguments: str, environment: dict[str, str] | None = None, configured: bool = True):
        command = [str(streamer.binary), *arguments, *(["--config", str(streamer.config)] if configured else [])]
        self._open(command, streamer.folder, streamer.environment | (environment or {}))

    @classmethod
    def running(cls, command: list[str], folder: Path, environment: dict[str, str]) -> "Terminal":
        """Of any other program."""
        made = cls.__new__(cls)
        made._open(command, folder, environment)
        return made

    def _open(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.text = ""
        self._main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            command, stdin=other, stdout=other, stderr=other, cwd=folder, start_new_session=True, env={"TERM": "xterm-256color"} | environment,
            # Ctrl-C goes to whoever has the terminal.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(other)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._main)

    def type(self, keys: str) -> None:
        """What somebody types."""
        os.write(self._main, keys.encode())

    def wait_for(self, pattern: str, seconds: float = 30) -> re.Match:
        """Until it has printed that."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < deadline and self._read(deadline), f"{pattern} does not come: {self.text}"
        return found

    def end(self, seconds: float = 60) -> int:
        """Its exit code, when all that it printed is read."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            assert time.monotonic() < deadline, f"it goes on: {self.text}"
        return self.process.wait(max(1, deadline - time.monotonic()))

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._main], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return True
        try:
            data = os.read(self._main, 65536)
        except OSError:
            # Linux says so when the last one who had it open is gone.
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    @property
    def lines(self) -> list[str]:
        """Without colours and cursor movements."""
        return _ESCAPE.sub("", self.text).replace("\r\n", "\n").split("\n")


def in_terminal(streamer: Streamer, *arguments: str, keys: str = "", **options) -> tuple[int, Terminal]:
    """A command to its end."""
    with Terminal(streamer, *arguments, **options) as terminal:
        if keys:
            terminal.type(keys)
        code = terminal.end()
    return code, terminal


def interrupted(process: subprocess.Popen, seconds: float = 30) -> int:
    """Ctrl-C, as a shell sends it; returns the exit code."""
    process.send_signal(signal.SIGINT)
    return process.wait(seconds)
