"""What the streamer's peak memory does as time goes by, and while nats-server answers nothing under load.

    cd Tests/Benchmarks
    SLOTSTREAM_BINARY=… SLOTSTREAM_TOOLS=… $SLOTSTREAM_TOOLS/bin/python memory.py [--pair 18 2.15.1] [--scale 0.01]

The figures are the kernel's (VmHWM) of one process: after 2 and after 20 million events; before and after nats-server was paused for a
minute while rows were committed. No figure fails anything; a stream that does not hold every event does.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "EndToEnd"))

from administrator import Administrator  # noqa: E402
from deployment import Deployment, Pair, demo_schema  # noqa: E402
from latency import VoidMeasurement  # noqa: E402
from servers.tools import wait_until  # noqa: E402

NAME = "fraiseql_events"

_TRANSACTION_ROWS = 10_000
_FIRST_EVENTS, _LAST_EVENTS = 2_000_000, 20_000_000
_PAUSE_SECONDS = 60
_PAUSED_EVENTS = 600_000


def _filler(deployment: Deployment, events: int) -> threading.Thread:
    """Commits so many rows, in transactions of some thousands; not yet started."""
    procedure = (f"CREATE OR REPLACE PROCEDURE fill(count INT) LANGUAGE plpgsql AS $$ BEGIN FOR n IN 1..count LOOP "
                 "INSERT INTO tb_order (identifier, items, shipping_address, status) "
                 "SELECT gen_random_uuid(), ARRAY['sku-1'], '1 Main Street', 'pending' "
                 f"FROM generate_series(1, {_TRANSACTION_ROWS}); COMMIT; END LOOP; END $$")
    deployment.postgres.run(procedure)
    count = max(1, events // _TRANSACTION_ROWS)
    return threading.Thread(target=deployment.postgres.run, args=(f"CALL fill({count})",), daemon=True)


def _wait_stored(deployment: Deployment, events: int) -> None:
    administrator = Administrator(deployment.nats.url)
    wait_until(lambda: administrator.state(NAME)["last_seq"] >= events, 3600, f"{events} events are stored", 0.2)


def measure(pair: Pair, scale: float, tell: Callable[[str], None]) -> list[dict]:
    """One dict a figure: `what`, `events` so far, `peak_memory` in bytes."""
    results = []
    deployment = Deployment(pair, prepare=demo_schema, overrides={"log": {"level": "info"}})
    try:
        deployment.streamer.start()

        def note(what: str, events: int) -> None:
            peak = deployment.streamer.peak_memory()
            results.append({"what": what, "events": events, "peak_memory": peak, "postgres": pair.postgres, "nats": pair.nats})
            tell(f"memory, {pair}: {what}: {peak / 2**20:.1f} MB")

        note("started", 0)
        first, last = (max(_TRANSACTION_ROWS, int(events * scale) // _TRANSACTION_ROWS * _TRANSACTION_ROWS)
                       for events in (_FIRST_EVENTS, _LAST_EVENTS))
        filler = _filler(deployment, last)
        filler.start()
        _wait_stored(deployment, first)
        note(f"{first:,} events", first)
        _wait_stored(deployment, last)
        filler.join()
        note(f"{last:,} events", last)
        paused = max(_TRANSACTION_ROWS, int(_PAUSED_EVENTS * scale) // _TRANSACTION_ROWS * _TRANSACTION_ROWS)
        filler = _filler(deployment, paused)
        deployment.nats.pause()
        try:
            filler.start()
            time.sleep(max(5, _PAUSE_SECONDS * scale))
        finally:
            deployment.nats.resume()
        filler.join()
        _wait_stored(deployment, last + paused)
        note(f"nats-server paused for {max(5, _PAUSE_SECONDS * scale):.0f} s, {paused:,} events more", last + paused)
        if not deployment.streamer.running:
            raise VoidMeasurement(f"the streamer ended: {deployment.streamer.last_words()}")
    finally:
        deployment.close()
        deployment.remove()
    return results


def table(results: list[dict]) -> str:
    """The figures as text."""
    lines = ["Peak memory (VmHWM) of one process as time goes by"]
    lines += [f"  {result['postgres']} × {result['nats']}  {result['peak_memory'] / 2**20:6.1f} MB  {result['what']}" for result in results]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", nargs=2, metavar=("POSTGRESQL", "NATS"), default=["18", "2.15.1"])
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="so many times the events and the seconds")
    options = parser.parse_args()
    print(table(measure(Pair(*options.pair), options.scale, lambda line: print(line, file=sys.stderr, flush=True))))
