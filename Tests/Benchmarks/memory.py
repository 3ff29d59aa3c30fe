"""What the streamer's peak anonymous memory does as time goes by, and while nats-server answers nothing under load.

    cd Tests/Benchmarks
    SLOTSTREAM_BINARY=… SLOTSTREAM_TOOLS=… $SLOTSTREAM_TOOLS/bin/python memory.py [--pair 18 2.15.1] [--scale 0.01]

The figures are the kernel's (VmHWM) of one process: after 2 and after 20 million events; after nats-server was paused for a
minute while rows were committed, and after it was paused so again. No figure fails anything; a stream that does not hold every event does.
"""

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
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

_FILL = f"""
CREATE PROCEDURE fill(count INT) LANGUAGE plpgsql AS $$ BEGIN FOR n IN 1..count LOOP
    INSERT INTO tb_order (identifier, items, shipping_address, status)
        SELECT gen_random_uuid(), ARRAY['sku-1'], '1 Main Street', 'pending' FROM generate_series(1, {_TRANSACTION_ROWS});
    COMMIT;
END LOOP; END $$"""


def _scaled(events: int, scale: float) -> int:
    """So many times the events, in whole transactions."""
    return max(1, round(events * scale / _TRANSACTION_ROWS)) * _TRANSACTION_ROWS


def _wait_stored(deployment: Deployment, events: int, filled: Future) -> None:
    """Waits until the stream ends with this event; fails as soon as it never will."""
    administrator = Administrator(deployment.nats.url)

    def stored() -> bool:
        assert deployment.streamer.running, f"the streamer ended: {deployment.streamer.last_words()}"
        assert not filled.done() or not filled.exception(), f"no more rows are committed: {filled.exception()}"
        return administrator.state(NAME)["last_seq"] >= events

    wait_until(stored, 3600, f"{events:,} events are stored", 0.2)


def measure(pair: Pair, scale: float, tell: Callable[[str], None]) -> list[dict]:
    """One dict a figure: `what`, `events` so far, `peak_memory` in bytes."""
    results = []
    overrides = {"log": {"level": "info"}, "transport.nats.jetstream": {"max_bytes": -1}}
    deployment = Deployment(pair, prepare=demo_schema, overrides=overrides)

    def note(what: str, events: int) -> None:
        peak = deployment.streamer.peak_memory()
        results.append({"what": what, "events": events, "peak_memory": peak, "postgres": pair.postgres, "nats": pair.nats})
        tell(f"memory, {pair}: {what}: {peak / 2**20:.1f} MB")

    first, last, paused = (_scaled(events, scale) for events in (_FIRST_EVENTS, _LAST_EVENTS, _PAUSED_EVENTS))
    pause_seconds = max(5, _PAUSE_SECONDS * scale)
    pool = ThreadPoolExecutor()

    def fill(events: int) -> Future:
        return pool.submit(deployment.postgres.run, f"CALL fill({events // _TRANSACTION_ROWS})")

    try:
        deployment.postgres.run(_FILL)
        deployment.streamer.start()
        note("started", 0)
        filled = fill(last)
        for events in (first, last):
            _wait_stored(deployment, events, filled)
            note(f"{events:,} events", events)
        # The first pause may fill the retained window to its limit for the first time; what the second adds is a pause's own.
        for which in ("", " again"):
            events += paused
            deployment.nats.pause()
            try:
                filled = fill(paused)
                time.sleep(pause_seconds)
            finally:
                deployment.nats.resume()
            _wait_stored(deployment, events, filled)
            note(f"nats-server paused{which} for {pause_seconds:.0f} s, {paused:,} events more", events)
        state = Administrator(deployment.nats.url).state(NAME)
        if not state["messages"] == state["last_seq"] == events:
            raise VoidMeasurement(f"the stream must hold {events:,} messages: {state}")
    finally:
        deployment.close()
        pool.shutdown()
        deployment.remove()
    return results


def table(results: list[dict]) -> str:
    """The figures as text."""
    lines = ["Peak anonymous memory of one process as time goes by"]
    lines += [f"  {result['postgres']} × {result['nats']}  {result['peak_memory'] / 2**20:6.1f} MB  {result['what']}" for result in results]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", nargs=2, metavar=("POSTGRESQL", "NATS"), default=["18", "2.15.1"])
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="so many times the events and the seconds")
    options = parser.parse_args()
    print(table(measure(Pair(*options.pair), options.scale, lambda line: print(line, file=sys.stderr, flush=True))))
