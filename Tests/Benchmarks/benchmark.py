"""The streamer beside what PostgreSQL and JetStream can do at once; `deploy/benchmark` installs, builds and runs it.

Every figure comes from this run: claims are ratios of medians, of rounds in which all contenders take turns. Machines are
noisy, so no figure fails anything; a wrong count, a wrong last id and a void measurement do.
"""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nats.errors
import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "EndToEnd"))

import backfill  # noqa: E402
import backlog  # noqa: E402
import chart  # noqa: E402
import latency  # noqa: E402
import memory  # noqa: E402
import observer  # noqa: E402
from administrator import Refused  # noqa: E402
from cases import CASES, GROWTH, Case  # noqa: E402
from deployment import Pair  # noqa: E402
from servers.tools import MissingTool, nats_binary, observer_binary, postgres_bin, slotstream_binary  # noqa: E402
from stream import StreamError  # noqa: E402

PAIRS = [Pair("15", "2.9.10"), Pair("18", "2.15.1"), Pair("18", "2.15.1-R3")]
NEWEST = PAIRS[1]
# The cases that are measured between every pair; the others between the newest.
MAIN_CASES = {"bulk", "single"}

# One case that goes wrong is said, and the others are measured all the same.
_FAILURES = (AssertionError, MissingTool, latency.VoidMeasurement, Refused, StreamError, nats.errors.Error, psycopg.Error,
             subprocess.SubprocessError, OSError)


class Run:
    """What has been measured, and what went wrong with it."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.complaints: list[str] = []
        self.results: dict = {"machine": _machine(), "rounds": options.rounds, "scale": options.scale}

    def backlog(self, plan: list[tuple[Case, Pair]]) -> None:
        """The cases of the plan, as a table."""
        results = self.results["backlog"] = []
        for case, pair in plan:
            result = self._measure(case, pair, backlog.contenders(pair, self.options.beside))
            if result:
                results.append(result)
                if result.get("void"):
                    self.complaints.append(f"{case.name}, {pair}: void, the drain alone is slower than pg_recvlogical")
        print(_beside_table(results) if self.options.beside else _backlog_table(results), flush=True)

    def growth(self, pair: Pair) -> None:
        """How the streamer's costs grow, as a table."""
        measured = [self._measure(case.scaled(self.options.scale), pair, ["streamer", "drain"]) for case in GROWTH]
        results = self.results["growth"] = [result for result in measured if result]
        print(_growth_table(results, pair), flush=True)

    def memory(self, pair: Pair) -> None:
        """Peak memory as time goes by, and while nats-server is paused, as a table."""
        try:
            results = self.results["memory"] = memory.measure(pair, self.options.scale, self._tell)
        except _FAILURES as error:
            return self._complain(f"memory, {pair}", error)
        print(memory.table(results) + "\n", flush=True)

    def observer(self, pair: Pair) -> None:
        """The observer worker beside a minimal one, and its memory over a million events, as tables."""
        try:
            self.results["observer"] = observer.measure(pair, self.options.rounds, self.options.scale, self._tell)
            print(observer.table(self.results["observer"]) + "\n", flush=True)
            self.results["observer_memory"] = observer.memory(pair, self.options.scale, self._tell)
            print(observer.memory_table(self.results["observer_memory"]) + "\n", flush=True)
        except (*_FAILURES, observer.VoidMeasurement) as error:
            self._complain(f"observer, {pair}", error)

    def backfill(self, pair: Pair) -> None:
        """A backfill's rate, the live stream beside it, and memory, as tables."""
        found = self.results["backfill"] = {}
        rows, transaction_rows, latency_rows = (
            max(1_000, round(count * self.options.scale)) for count in (self.options.backfill_rows, backfill.TRANSACTION_ROWS, backfill.LATENCY_ROWS))
        for part in backfill.PARTS:
            try:
                found |= backfill.measure(
                    pair, self._tell, rows=rows, rounds=self.options.rounds, seconds=max(2, round(10 * self.options.scale)),
                    transaction_rows=transaction_rows, parts=[part], latency_rows=latency_rows)
                print(backfill.table({part: found[part]}) + "\n", flush=True)
            except _FAILURES as error:
                self._complain(f"backfill, {part}, {pair}", error)

    def latency(self, pairs: list[Pair]) -> None:
        """COMMIT returned → received, as a table."""
        results = self.results["latency"] = []
        for pair in pairs:
            seconds = max(2, round(self.options.latency_seconds * self.options.scale))
            self._tell(f"latency, {pair}: {', '.join(f'{rate:,}' for rate in latency.RATES)} commits/s, {seconds} s each")
            try:
                results += latency.measure(pair, latency.RATES, seconds)
                if self.options.beside:
                    results += [result | {"kind": "beside"} for result in latency.measure(pair, latency.RATES, seconds, self.options.beside)
                                if result["kind"] == "streamer"]
            except _FAILURES as error:
                self._complain(f"latency, {pair}", error)
        print(latency.table(results) + "\n", flush=True)

    def write(self) -> None:
        """The files that were asked for."""
        if self.options.json:
            self.options.json.write_text(json.dumps(self.results | {"complaints": self.complaints}, indent=1) + "\n")
        if self.options.svg:
            machine = self.results["machine"]
            note = (f"{machine['cores']} cores ({machine['cpu']}); medians of {self.options.rounds} rounds, all from one run"
                    f"{_scale_note(self.options.scale)}")
            self.options.svg.write_text(chart.svg(self.results.get("backlog", []), note))

    def _measure(self, case: Case, pair: Pair, contenders: list[str]) -> dict | None:
        where = f"{case.name}, {pair}"
        try:
            return backlog.measure(pair, case, self.options.rounds, contenders, lambda line: self._tell(f"{where}: {line}"),
                                   self.options.beside)
        except _FAILURES as error:
            self._complain(where, error)
            return None

    def _complain(self, where: str, error: BaseException) -> None:
        self.complaints.append(f"{where}: {error}")
        self._tell(self.complaints[-1])

    def _tell(self, line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _machine() -> dict:
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    version = subprocess.run([slotstream_binary(), "--version"], capture_output=True, text=True, cwd="/").stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": cpu[1] if cpu else platform.machine(), "cores": len(os.sched_getaffinity(0)), "memory": memory,
            "kernel": platform.release(), "slotstream": version}


def _scale_note(scale: float) -> str:
    return "" if scale == 1 else f"; a try: {scale:g} times the changes"


def _megabytes(count: int) -> str:
    return f"{count / 2**20:.1f}"


def _aligned(rows: list[list[str]], left: int) -> str:
    """Rows in columns as wide as their widest; the first `left` columns are words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) if index < left else cell.rjust(width)
                               for index, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)


def _backlog_table(results: list[dict]) -> str:
    rows = [["case", "servers", "limit", "streamer", "ratio", "atomic", "pg_recvlogical", "drain", "publish", "streamer µs",
             "walsender µs", "nats-server µs", "peak MB", "ready s"]]
    for result in results:
        rates = result["per_second"]
        rows.append([
            result["case"], f"{result['postgres']} × {result['nats']}", f"{rates['limit']:,}", f"{rates['streamer']:,}",
            f"{result['ratio']:.2f}" + (" void" if result["void"] else ""),
            *(f"{rates[name]:,}" if name in rates else "-" for name in ("atomic", "pg_recvlogical", "drain", "publish")),
            *(f"{result[name]:.1f}" for name in ("cpu_us", "walsender_cpu_us", "nats_cpu_us")),
            _megabytes(result["peak_memory"]), f"{result['ready']:.2f}"])
    cases = {result["case"]: result["what"] for result in results}
    return "\n".join([
        "A backlog: changes a second; µs of CPU a change, in the streamer's rounds",
        *(f"  {name}: {what}" for name, what in cases.items()), "", _aligned(rows, left=2), ""])


def _beside_table(results: list[dict]) -> str:
    rows = [["case", "servers", "beside", "streamer", "ratio", "beside µs", "streamer µs", "nats-server µs beside", "and here", "peak MB beside",
             "and here"]]
    for result in results:
        rates = result["per_second"]
        rows.append([
            result["case"], f"{result['postgres']} × {result['nats']}", f"{rates['beside']:,}", f"{rates['streamer']:,}", f"{result['ratio']:.2f}",
            *(f"{result[name]:.1f}" for name in ("beside_cpu_us", "cpu_us", "beside_nats_cpu_us", "nats_cpu_us")),
            _megabytes(result["beside_peak_memory"]), _megabytes(result["peak_memory"])])
    return "\n".join(["A backlog, this build and the one beside it: changes a second; µs of CPU a change", "", _aligned(rows, left=2), ""])


def _growth_table(results: list[dict], pair: Pair) -> str:
    rows = [["", "changes", "streamer", "drain", "streamer µs", "peak MB"]]
    rows += [[result["case"], f"{result['changes']:,}", f"{result['per_second']['streamer']:,}",
              f"{result['per_second']['drain']:,}", f"{result['cpu_us']:.1f}", _megabytes(result["peak_memory"])]
             for result in results]
    return "\n".join([f"How cost grows, {pair}: one transaction; changes a second, µs of the streamer's CPU a change",
                      "", _aligned(rows, left=1), ""])


def _plan(options: argparse.Namespace) -> list[tuple[Case, Pair]]:
    """Which case is measured between which pairs."""
    chosen = [case.scaled(options.scale) for case in CASES if not options.case or case.name in options.case]
    plan = []
    for case in chosen:
        everywhere = options.all or case.name in MAIN_CASES
        plan += [(case, pair) for pair in options.pairs or (PAIRS if everywhere else [NEWEST])]
    return plan


def _number(kind: type) -> object:
    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is no {'whole ' if kind is int else ''}number above 0")
        return value
    return parse


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="deploy/benchmark", description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="cases:\n" + "\n".join(f"  {case.name:<10}{case.what}" for case in CASES) + f"""

Without --pair, {' and '.join(sorted(MAIN_CASES))} are measured between
{', '.join(f'{pair.postgres} × {pair.nats}' for pair in PAIRS)}, the other cases between {NEWEST.postgres} × {NEWEST.nats}.
R3: three servers, three replicas.

examples: deploy/benchmark --json results.json --svg backlog.svg
          deploy/benchmark --case bulk --pair 15 2.9.10 --no-latency --scale 0.01""")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], metavar="NAME",
                        help="only this one; may be repeated")
    parser.add_argument("--pair", action="append", nargs=2, metavar=("POSTGRESQL", "NATS"),
                        help="only between these servers, such as 18 2.15.1-R3; may be repeated")
    parser.add_argument("--all", action="store_true", help="every case between every pair")
    parser.add_argument("--beside", type=Path, metavar="BINARY", help="this build against another, in turns, instead of against the limits")
    parser.add_argument("--rounds", type=_number(int), default=3, metavar="N", help="of every contender (default: 3)")
    parser.add_argument("--scale", type=_number(float), default=1.0, metavar="X",
                        help="so many times the changes and the seconds (default: 1)")
    parser.add_argument("--backlog", action=argparse.BooleanOptionalAction, default=True, help="the cases")
    parser.add_argument("--latency", action=argparse.BooleanOptionalAction, default=True,
                        help="how soon a subscriber has what was committed")
    parser.add_argument("--latency-seconds", type=_number(int), default=latency.SECONDS, metavar="N",
                        help=f"of each rate (default: {latency.SECONDS})")
    parser.add_argument("--growth", action="store_true", help="how cost grows with the backlog, with tables, with columns")
    parser.add_argument("--memory", action="store_true", help="peak memory after 2 and 20 million events, and with nats-server paused twice")
    parser.add_argument("--observer", action="store_true", help="webhooks a second of the observer worker, beside a minimal one of nats-py")
    parser.add_argument("--backfill", action="store_true", help="rows a second, live latency beside it, memory")
    parser.add_argument("--backfill-rows", type=_number(int), default=backfill.ROWS, metavar="N", help=f"of its table (default: {backfill.ROWS:,})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures of all rounds")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="a chart of the cases")
    options = parser.parse_args()
    options.pairs = [Pair(*names) for names in options.pair or []]
    if options.beside and not os.access(options.beside, os.X_OK):
        parser.error(f"--beside: {options.beside} is no program")
    if options.beside and options.svg:
        parser.error("--svg is a chart beside the limits, which --beside does not measure")
    if options.all and options.pairs:
        parser.error("--all and --pair exclude each other")
    for name in ("json", "svg"):
        path = getattr(options, name)
        if path and not path.absolute().parent.is_dir():
            parser.error(f"--{name}: no folder {path.absolute().parent}")
    # What is not there is missed before anything is measured.
    try:
        slotstream_binary()
        if options.observer:
            observer_binary()
        for pair in {pair for _, pair in _plan(options)} | set(options.pairs or [NEWEST]):
            postgres_bin(pair.postgres)
            nats_binary(pair.nats.removesuffix("-R3"))
    except KeyError as error:
        parser.error(f"--pair: no PostgreSQL {error}: there are 15, 16 and 18")
    except MissingTool as error:
        sys.exit(f"deploy/benchmark: {error}")
    return options


def main() -> None:
    # So that what was started is ended and deleted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _options()
    plan = _plan(options)
    run = Run(options)
    machine = run.results["machine"]
    print(f"{machine['cores']} cores ({machine['cpu']}), Linux {machine['kernel']}; slotstream {machine['slotstream']}; "
          f"medians of {options.rounds} rounds{_scale_note(options.scale)}\n", flush=True)
    try:
        if options.backlog:
            run.backlog(plan)
        if options.latency:
            run.latency(list(dict.fromkeys(pair for _, pair in plan)))
        if options.growth:
            run.growth((options.pairs or [NEWEST])[0])
        if options.memory:
            run.memory((options.pairs or [NEWEST])[0])
        if options.observer:
            run.observer((options.pairs or [NEWEST])[0])
        if options.backfill:
            run.backfill((options.pairs or [NEWEST])[0])
    finally:
        run.write()
    if run.complaints:
        print("\n".join(["Not measured, or wrong:", *(f"  {complaint}" for complaint in run.complaints)]))
        sys.exit(1)


if __name__ == "__main__":
    main()
