"""How soon a consumer knows: from the moment COMMIT has returned until a plain subscriber has the event.

Single-row INSERTs, each a transaction, are committed at fixed rates over eight connections while the streamer, idle
before, runs; `latency.c` commits and subscribes, by one clock. The load is open: a late commit does not put off those after
it. Beside each figure stands the same of a bare JetStream publish through the same nats-server, published → acknowledged, to
a stream of the same configuration, with payload, subject and headers of the same size: what of it is the machine's. The first
second of each rate is left out. What was received before COMMIT had returned counts as 0, and is counted. Machines are
noisy, so no figure fails anything; a commit that is not received exactly once, or not stored, does.

    cd Tests/Benchmarks
    SLOTSTREAM_BINARY=… SLOTSTREAM_TOOLS=… $SLOTSTREAM_TOOLS/bin/python latency.py --pair 18 2.15.1 --rate 100 --rate 1000
"""

import argparse
import json
import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path

from hdrh.histogram import HdrHistogram

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "EndToEnd"))

from administrator import Administrator  # noqa: E402
from compiled import compile_c  # noqa: E402
from deployment import Deployment, Pair, demo_schema  # noqa: E402
from servers.postgres import Postgres  # noqa: E402
from servers.tools import MissingTool, dying_with_us, nats_binary, slotstream_binary  # noqa: E402

POSTGRES_VERSIONS = ["15", "16", "18"]
RATES = [100, 1_000, 5_000]
SECONDS = 30

STREAM, PREFIX = "fraiseql_events", "fraiseql.mutation"
# As long as the streamer's.
BARE_STREAM, BARE_PREFIX = "reference_write", "reference.publish"

# Below this part of the wanted rate, a row says that the machine did not make it.
_REACHED = 0.99
_PERCENTILES = {"p50": 50, "p99": 99, "p999": 99.9}


class VoidMeasurement(Exception):
    """What was measured is not what should have been."""


class Latency:
    """Servers, a running streamer, the stream for bare publishes and the compiled `latency.c`."""

    def __init__(self, pair: Pair, binary: Path | None = None, overrides: dict[str, dict] | None = None,
                 prepare: Callable[[Postgres], None] = demo_schema):
        self.pair = pair
        # As in production: a debug log would be part of what is timed.
        self.deployment = Deployment(pair, prepare=prepare, overrides={"log": {"level": "info"}} | (overrides or {}), binary=binary)
        self.administrator = Administrator(self.deployment.nats.url)
        # The server that the streamer connects to: the first.
        self.url = self.deployment.nats.url.split(",")[0]
        self.stored = {STREAM: 0, BARE_STREAM: 0}
        self.runs = 0
        try:
            self.program = compile_c("latency", self.deployment.folder)
            config = self.administrator.config(STREAM)
            self.administrator.add(**config | {"name": BARE_STREAM, "subjects": [f"{BARE_PREFIX}.>"]})
            self.deployment.streamer.start()
            self.deployment.wait_confirmed()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends everything and deletes the folder."""
        self.deployment.close()
        self.deployment.remove()

    def measure(self, rate: int, seconds: int) -> list[dict]:
        """The streamer's figures at that rate, and those of a bare publish."""
        self.runs += 1
        streamer, payload_bytes = self._run("streamer", STREAM, rate, seconds, f"{PREFIX}.>",
                                            self.deployment.postgres.conninfo, f"latency-{self.runs}-")
        bare, _ = self._run("publish", BARE_STREAM, rate, seconds, f"{BARE_PREFIX}.Order.INSERT",
                            str(self.stored[BARE_STREAM]), str(payload_bytes))
        return [streamer, bare]

    def _run(self, mode: str, stream_name: str, rate: int, seconds: int, subject: str, *more: str) -> tuple[dict, int]:
        """Figures, and how long a payload was. Fails unless each message arrived once and is stored once."""
        kind = {"streamer": "streamer", "publish": "bare publish"}[mode]
        where = f"{self.pair}: {kind} at {rate:,}/s"
        print(f"{where}, {seconds} s …", file=sys.stderr, flush=True)
        samples_file = self.deployment.folder / "samples"
        command = [self.program, mode, str(seconds), str(rate), samples_file, self.url, subject, *more]
        done = subprocess.run([*dying_with_us(), *command], capture_output=True, text=True)
        if done.returncode != 0:
            raise VoidMeasurement(f"{where}: {done.stderr.strip() or f'latency.c ended with {done.returncode}'}")
        summary = json.loads(done.stdout)
        samples = array("q", samples_file.read_bytes())
        if summary["lost"] or summary["repeated"] or not samples or len(samples) != summary["samples"]:
            streamer = self.deployment.streamer
            why = "" if streamer.running else f"; the streamer has ended: {streamer.last_words()}"
            raise VoidMeasurement(f"{where}: not each message arrived once: {summary}{why}")
        self.stored[stream_name] += summary["began"]
        # The subscriber has a message before replicas have agreed on it.
        self.deployment.wait_confirmed()
        state = self.administrator.state(stream_name)
        if not state["messages"] == state["last_seq"] == self.stored[stream_name]:
            raise VoidMeasurement(f"{where}: {stream_name} must hold {self.stored[stream_name]} messages: {state}")
        return {"pair": str(self.pair), "rate": rate, "kind": kind, "achieved": round(len(samples) / seconds, 1),
                "samples": len(samples), "lost": summary["lost"]} | figures(samples), summary["payload_bytes"]


def figures(samples: array) -> dict:
    """Percentiles and maximum in ms, of nanoseconds; what is negative counts as 0."""
    histogram = HdrHistogram(1, 3_600_000_000_000, 3)
    for nanoseconds in samples:
        histogram.record_value(max(0, nanoseconds))
    found = {name: histogram.get_value_at_percentile(percentile) for name, percentile in _PERCENTILES.items()}
    found["max"] = histogram.get_max_value()
    return {"early": sum(nanoseconds < 0 for nanoseconds in samples)} | {
        name: round(nanoseconds / 1e6, 4) for name, nanoseconds in found.items()}


def measure(pair: Pair, rates: list[int], seconds: int, binary: Path | None = None) -> list[dict]:
    """Two results a rate, `streamer` and `bare publish`, of so many seconds each after a second to warm up; in a deployment
    of their own, which is gone afterwards. Milliseconds; `achieved` is what was committed or published a second."""
    latency = Latency(pair, binary)
    try:
        return [result for rate in rates for result in latency.measure(rate, seconds)]
    finally:
        latency.close()


def table(results: list[dict]) -> str:
    """The results as text."""
    lines = ["COMMIT returned → received by a subscriber; bare publish: published → acknowledged (ms)"]
    shown = None
    for result in results:
        if result["pair"] != shown:
            shown = result["pair"]
            lines += ["", shown, f"{'a second':>8}  {'':<12}{'p50':>9}{'p99':>9}{'p99.9':>9}{'max':>9}"
                      f"{'samples':>10}{'lost':>6}{'early':>8}"]
        milliseconds = "".join(f"{result[name]:>9.2f}" for name in (*_PERCENTILES, "max"))
        missed = "" if result["achieved"] >= _REACHED * result["rate"] else f"  only {result['achieved']:,.0f}/s were reached"
        lines.append(f"{result['rate']:>8,}  {result['kind']:<12}{milliseconds}{result['samples']:>10,}{result['lost']:>6}"
                     f"{result['early']:>8,}{missed}")
    return "\n".join([*lines, "", "early: received before COMMIT had returned, counted as 0"])


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="example: latency.py --pair 18 2.15.1 --rate 100 --rate 1000 --seconds 10")
    parser.add_argument("--pair", nargs=2, default=["18", "2.15.1"], metavar=("POSTGRESQL", "NATS"),
                        help="versions of the servers (default: 18 2.15.1)")
    parser.add_argument("--rate", type=_positive, action="append", metavar="N",
                        help=f"commits a second; may be repeated (default: {', '.join(map(str, RATES))})")
    parser.add_argument("--seconds", type=_positive, default=SECONDS, metavar="N",
                        help=f"of each rate, after a second to warm up (default: {SECONDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the results as JSON, too")
    options = parser.parse_args()
    if options.pair[0] not in POSTGRES_VERSIONS:
        parser.error(f"--pair: PostgreSQL {options.pair[0]} is none of {', '.join(POSTGRES_VERSIONS)}")
    try:
        # What is not there shall be missed before anything is made.
        slotstream_binary()
        nats_binary(options.pair[1].removesuffix("-R3"))
        results = measure(Pair(*options.pair), options.rate or RATES, options.seconds)
    except (AssertionError, MissingTool, VoidMeasurement) as error:
        sys.exit(f"latency.py: {error}")
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
