"""Webhooks a second to a receiver on the same machine: the observer worker, and beside it a minimal worker of nats-py that keeps the same promise.

    cd Tests/Benchmarks
    SLOTSTREAM_BINARY=… SLOTSTREAM_TOOLS=… $SLOTSTREAM_TOOLS/bin/python observer.py [--pair 18 2.15.1] [--scale 0.1] [--rounds 3] [--memory]

One stream, one receiver in a process of its own, a new consumer for each round: all do the same events. Each webhook is signed, an order's events
are done one after another, and an event is acknowledged (and that acknowledged) when it is done. Timed from the first twentieth of the events to the
last one. With `--memory` one worker does 1,000,000 events, and its peak memory is taken at 100,000 and at the end. No figure fails anything; an event
that did not arrive, or came twice, does.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "EndToEnd"))

from answers import Plan  # noqa: E402
from deployment import Pair  # noqa: E402
from orders import history  # noqa: E402
from places import Place  # noqa: E402
from servers.nats import Nats  # noqa: E402
from servers.tools import dying_with_us, processor_seconds, wait_until  # noqa: E402
from watched import add_consumer  # noqa: E402
from worker import SECRET  # noqa: E402

# Who does the events: the worker as it is by default, without order among several workers, and nats-py.
CONTENDERS = ("worker", "unordered", "nats-py")
_CONCURRENCY = 50
_EVENTS, _ORDERS = 50_000, 5000
_MEMORY_EVENTS, _FIRST_MEMORY_EVENTS = 1_000_000, 100_000
_MINIMAL = Path(__file__).resolve().parent.parent / "EndToEnd" / "minimal_worker.py"


class VoidMeasurement(Exception):
    """What was counted is not what was published."""


class Desk:
    """The servers, the stream with its events, and the receiver that all contenders send to, one after another."""

    def __init__(self, pair: Pair, events: int):
        self.events = events
        self.folder = Path(tempfile.mkdtemp(prefix="slotstream-benchmark-"))
        self._nats = Nats(pair.nats, self.folder / "nats")
        self._place: Place | None = None
        self._rounds = 0
        try:
            self._nats.start()
            self._place = Place(self._nats, self.folder, plan=Plan(writes=False))
            for first in range(1, events + 1, 100_000):
                self._place.stream.publish(history(min(100_000, events + 1 - first), _ORDERS, seed=1, first=first))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends all."""
        if self._place:
            self._place.close()
        self._nats.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def round(self, contender: str, looks: tuple[int, ...] = ()) -> dict:
        """One contender does all events: `per_second`, `cpu_us` an event, `peak_memory` in bytes, at the end and when so many (`looks`) were done."""
        self._rounds += 1
        consumer = f"round{self._rounds}"
        # Each round has a path of its own, by which the receiver knows its events from those of the rounds before.
        path = f"/{consumer}"
        before = self._place.receiver.count(), self._place.receiver.seen()
        process, peak, close = self._start(contender, consumer, path)
        try:
            peaks = {}
            first = self._wait(process, before[0], self.events // 20)
            began, cpu = time.monotonic(), processor_seconds(process.pid)
            for look in looks:
                self._wait(process, before[0], look)
                peaks[look] = peak()
            self._wait(process, before[0], self.events)
            took, cpu = time.monotonic() - began, processor_seconds(process.pid) - cpu
            info = wait_until(lambda: self._acknowledged(consumer), 60, f"all {self.events} events are acknowledged")
            peaks[self.events] = peak()
        finally:
            close()
        arrived, seen = self._place.receiver.count() - before[0], self._place.receiver.seen() - before[1]
        if not arrived == seen == self.events == info["delivered"]["stream_seq"]:
            raise VoidMeasurement(f"{contender}: {arrived} requests with {seen} keys for {self.events} events")
        done = self.events - first
        return {"contender": contender, "events": self.events, "per_second": round(done / took), "cpu_us": cpu / done * 1e6, "peak_memory": peaks}

    def _start(self, contender: str, consumer: str, path: str) -> tuple[subprocess.Popen, Callable[[], int], Callable[[], None]]:
        """Starts a contender; its process, what asks for its peak memory, and what ends it."""
        place = self._place
        if contender == "nats-py":
            add_consumer(self._nats, place.name, consumer, ack_wait=30 * 10**9, max_ack_pending=1000)
            command = [*dying_with_us(), sys.executable, str(_MINIMAL), self._nats.url, place.name, consumer, place.receiver.url(path), SECRET,
                       "--concurrency", str(_CONCURRENCY)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

            def close() -> None:
                process.kill()
                process.wait()

            return process, lambda: _peak(process.pid), close
        worker = place.worker(overrides={
            "observer_worker": {"max_concurrency": _CONCURRENCY, "ordered": contender == "worker"},
            "transport.nats": {"consumer_name": consumer}, "log": {"level": "info"}})
        worker.config.write_text(worker.config.read_text().replace(place.receiver.url(), place.receiver.url(path)))
        worker.start()
        return worker.process, worker.peak_memory, worker.close

    def _wait(self, process: subprocess.Popen, before: int, count: int) -> int:
        """Until so many requests have arrived; returns how many have."""
        def arrived() -> int | None:
            if process.poll() is not None:
                raise AssertionError(f"the worker ended with {process.returncode}")
            so_far = self._place.receiver.count() - before
            return so_far if so_far >= count else None

        return wait_until(arrived, 3600, f"{count} requests", 0.01)

    def _acknowledged(self, consumer: str) -> dict | None:
        info = self._place.stream.consumer(consumer)
        return info if info["num_pending"] == 0 and info["num_ack_pending"] == 0 else None


def _peak(process: int) -> int:
    """The largest anonymous memory of a process so far, in bytes."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return (int(status["VmHWM"].split()[0]) - int(status["RssFile"].split()[0])) * 1024


def measure(pair: Pair, rounds: int, scale: float, tell: Callable[[str], None]) -> list[dict]:
    """The contenders in turns: one dict a contender with the medians of its rounds, `ratio` beside nats-py."""
    desk = Desk(pair, max(1000, round(_EVENTS * scale)))
    measured: dict[str, list[dict]] = {contender: [] for contender in CONTENDERS}
    try:
        for number in range(rounds):
            for contender in CONTENDERS:
                result = desk.round(contender)
                measured[contender].append(result)
                tell(f"observer, {pair}: round {number + 1}, {contender}: {result['per_second']:,} webhooks a second, "
                     f"{result['cpu_us']:.0f} µs of CPU each")
    finally:
        desk.close()
    results = []
    for contender, figures in measured.items():
        results.append({
            "contender": contender, "postgres": pair.postgres, "nats": pair.nats, "events": desk.events,
            "per_second": statistics.median(figure["per_second"] for figure in figures),
            "cpu_us": statistics.median(figure["cpu_us"] for figure in figures),
            "peak_memory": max(max(figure["peak_memory"].values()) for figure in figures), "rounds": figures})
    beside = results[-1]["per_second"]
    return [result | {"ratio": result["per_second"] / beside} for result in results]


def memory(pair: Pair, scale: float, tell: Callable[[str], None]) -> dict:
    """The worker's peak memory after a tenth of the events and after all."""
    first, last = (max(1000, round(events * scale)) for events in (_FIRST_MEMORY_EVENTS, _MEMORY_EVENTS))
    desk = Desk(pair, last)
    try:
        result = desk.round("worker", (first,))
    finally:
        desk.close()
    for events, peak in result["peak_memory"].items():
        tell(f"observer, {pair}: peak memory after {events:,} events: {peak / 2**20:.1f} MB")
    return result | {"postgres": pair.postgres, "nats": pair.nats}


def table(results: list[dict]) -> str:
    """The figures as text."""
    lines = [f"Webhooks to a receiver on the same machine, nats-server {results[0]['nats']}: {results[0]['events']:,} events, {_CONCURRENCY} at a time",
             f"{'':<10}  {'a second':>9}  {'ratio':>6}  {'CPU µs an event':>15}  {'peak MB':>8}"]
    lines += [f"{result['contender']:<10}  {result['per_second']:>9,.0f}  {result['ratio']:>6.2f}  {result['cpu_us']:>15.0f}  "
              f"{result['peak_memory'] / 2**20:>8.1f}" for result in results]
    return "\n".join(lines)


def memory_table(result: dict) -> str:
    """The figures as text."""
    lines = [f"Peak anonymous memory of one observer worker, nats-server {result['nats']}"]
    return "\n".join(lines + [f"  {peak / 2**20:6.1f} MB  {events:,} events" for events, peak in result["peak_memory"].items()])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", nargs=2, metavar=("POSTGRESQL", "NATS"), default=["18", "2.15.1"])
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="so many times the events")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="a million events in one worker, instead of the contenders")
    options = parser.parse_args()
    pair = Pair(*options.pair)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    if options.memory:
        print(memory_table(memory(pair, options.scale, tell)))
    else:
        print(table(measure(pair, options.rounds, options.scale, tell)))
