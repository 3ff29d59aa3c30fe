"""The tests' end of a receiver (receiver.py): starting it, telling it its plan, reading what arrived."""

import hashlib
import hmac
import http.client
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from answers import Plan
from servers.tools import dying_with_us, free_port, wait_until

SIGNATURE = "X-FraiseQL-Signature-256"
_PROGRAM = Path(__file__).resolve().parent / "receiver.py"


@dataclass(slots=True)
class Arrival:
    """One request as it came: when (monotonic, nanoseconds), over which connection, how often its key had come to this path, and what was answered.
    `seen`: the first of its key that the receiver took for done; `told`: the answer says that all is well."""

    at: int
    connection: int
    method: str
    path: str
    key: str
    attempt: int
    answer: str
    seen: bool
    told: bool
    headers: dict[str, str]
    body: str

    @property
    def json(self):
        """The body, parsed."""
        return json.loads(self.body)


def signature_fault(arrival: Arrival, secret: str) -> str | None:
    """What is wrong with the signature of an arrival, by Python's own HMAC; None: nothing is."""
    header = arrival.headers.get(SIGNATURE.lower())
    if header is None:
        return "no signature"
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    if set(parts) != {"t", "v1"} or not parts["t"].isdecimal():
        return f"not t=…,v1=…: {header}"
    expected = hmac.new(secret.encode(), f"{parts['t']}.{arrival.body}".encode(), hashlib.sha256).hexdigest()
    return None if hmac.compare_digest(expected, parts["v1"]) else f"{header} is not {expected}"


class Receiver:
    """A receiver that runs, with its log in `folder`."""

    def __init__(self, folder: Path, plan: Plan = Plan()):
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.log = folder / "arrivals.jsonl"
        self.process = subprocess.Popen([*dying_with_us(), sys.executable, _PROGRAM, str(self.port), self.log], stdin=subprocess.DEVNULL,
                                        start_new_session=True)
        wait_until(lambda: self.plan(plan), 30, "the receiver answers")

    def url(self, path: str = "/hook") -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}{path}"

    def plan(self, plan: Plan) -> bool:
        """From now on it answers by this plan."""
        self.current = plan
        return bool(self._control("/_plan", json.dumps(plan.written())))

    def answers(self, *answers: str | dict, path: str = "/hook", key: str | None = None) -> None:
        """From now on these at this path, or to this key; a key that came before goes on counting."""
        if key is None:
            self.plan(replace(self.current, paths=self.current.paths | {path: list(answers)}))
        else:
            self.plan(replace(self.current, keys=self.current.keys | {key: list(answers)}))

    def _control(self, path: str, body: str = "") -> dict[str, int]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", path, body)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def arrivals(self, path: str | None = None, start: int = 0) -> list[Arrival]:
        """All that has arrived, in order; at this path only. `start`: from this byte of the log on."""
        self._control("/_flush")
        with self.log.open("rb") as log:
            log.seek(start)
            # A line that is being written is none yet.
            found = [Arrival(**json.loads(line)) for line in log if line.endswith(b"\n")]
        return found if path is None else [arrival for arrival in found if arrival.path == path]

    def count(self) -> int:
        """How much has arrived."""
        return self._control("/_count")["arrivals"]

    def seen(self) -> int:
        """How many keys were seen."""
        return self._control("/_count")["seen"]

    def wait(self, condition: Callable[[list[Arrival]], object], what: str, seconds: float = 60, path: str | None = None) -> list[Arrival]:
        """Until what has arrived is so; returns it."""
        wait_until(lambda: condition(self.arrivals(path)), seconds, f"{what}; see {self.log}")
        return self.arrivals(path)

    def wait_count(self, count: int, path: str | None = None, seconds: float = 60) -> list[Arrival]:
        """Until so many requests have arrived; returns all."""
        return self.wait(lambda arrivals: len(arrivals) >= count, f"{count} requests have arrived", seconds, path)

    def close(self) -> None:
        """Ends it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
