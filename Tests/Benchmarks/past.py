"""What the past costs: how fast `replay` and `verify` read it, and what a running replay does to the live stream.

Throughput: a backlog of one-row and of large transactions is drained by the streamer, then replayed into another stream and
verified, each timed from the command's start to its end, in turns; claims are ratios to the streamer's own rate. Latency: as
`latency.py`, at 1,000 commits a second, without and with `replay --rate 5000` beside it, in turns; and beside a bare publisher that
stores as many a second in a stream of its own: what of it is the machine's and the server's. No figure fails anything; a wrong count does.

    cd Tests/Benchmarks
    SLOTSTREAM_BINARY=… SLOTSTREAM_TOOLS=… $SLOTSTREAM_TOOLS/bin/python past.py --pair 18 2.15.1 --rounds 3
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "EndToEnd"))

from administrator import Administrator  # noqa: E402
from deployment import Deployment, Pair, demo_schema  # noqa: E402
from latency import Latency  # noqa: E402
from servers.tools import wait_until  # noqa: E402

_WINDOW = {"replay": {"window": "1h", "window_bytes": 1 << 33}, "log": {"level": "info"}}
_INSERT = ("INSERT INTO tb_order (identifier, items, shipping_address, status) "
           "SELECT gen_random_uuid(), ARRAY['sku-1'], '1 Main Street', 'pending' FROM generate_series(1, {rows})")
_FILL = (f"CREATE PROCEDURE fill(transactions INT, size INT) LANGUAGE plpgsql AS $$ BEGIN "
         f"PERFORM set_config('synchronous_commit', 'off', false); FOR round IN 1..transactions LOOP "
         f"{_INSERT.format(rows='size')}; COMMIT; END LOOP; END $$")
_LATENCY_RATE = 1_000
_REPLAY_RATE = 5_000
# About that of a replayed event.
_PAYLOAD_BYTES = 400


def _anchored(deployment: Deployment) -> None:
    sql = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'fraiseql_events_anchor'"
    wait_until(lambda: deployment.postgres.value(sql) == 1, 30, "the anchor slot is there")


def throughput(pair: Pair, size: int, transactions: int, rounds: int) -> dict:
    """Events a second of the streamer, of `replay` and of `verify`, medians of so many rounds."""
    rates = {"streamer": [], "replay": [], "verify": []}
    count = size * transactions
    for number in range(rounds):
        deployment = Deployment(pair, prepare=demo_schema, overrides=_WINDOW)
        try:
            deployment.postgres.run(_FILL)
            streamer = deployment.streamer
            streamer.start()
            _anchored(deployment)
            assert streamer.terminate() == 0
            deployment.postgres.run(f"CALL fill({transactions}, {size})")
            began = time.monotonic()
            streamer.start(wait=False)
            administrator = Administrator(deployment.nats.url)
            wait_until(lambda: administrator.state("fraiseql_events")["messages"] >= count, 300, "the backlog is stored", 0.01)
            rates["streamer"].append(count / (time.monotonic() - began))
            deployment.wait_confirmed()
            assert streamer.terminate() == 0
            for command in ("replay", "verify") if number % 2 == 0 else ("verify", "replay"):
                more = ["--into-prefix", "replayed"] if command == "replay" else []
                began = time.monotonic()
                told = json.loads(streamer.command(command, "--json", *more, seconds=300).stdout)
                rates[command].append(count / (time.monotonic() - began))
                assert told["published" if command == "replay" else "compared"] == count, told
        finally:
            deployment.close()
            deployment.remove()
    return {name: round(statistics.median(values)) for name, values in rates.items()}


def latency(pair: Pair, seconds: int, rounds: int) -> dict:
    """p99 in ms of the live stream, alone, beside a replay and beside a bare publisher, medians of so many rounds, which take turns."""
    measured = Latency(pair, overrides=_WINDOW)
    try:
        streamer = measured.deployment.streamer
        _anchored(measured.deployment)
        # More than a replay sends while `measure` times the streamer and a bare publish.
        measured.deployment.postgres.run(_FILL)
        backlog = _REPLAY_RATE * (2 * seconds + 15)
        measured.deployment.postgres.run(f"CALL fill({backlog // 10}, 10)")
        measured.stored["fraiseql_events"] += backlog // 10 * 10
        measured.deployment.wait_confirmed()
        measured.administrator.add(**measured.administrator.config("fraiseql_events") | {"name": "elsewhere", "subjects": ["elsewhere.>"]})
        p99 = {"alone": [], "beside a replay": [], "beside a bare publisher": []}
        for number in range(rounds):
            for kind in list(p99) if number % 2 == 0 else list(p99)[::-1]:
                beside = None
                if kind == "beside a replay":
                    beside = subprocess.Popen(
                        [str(streamer.binary), "replay", "--config", str(streamer.config), "--into-prefix", f"replayed.r{number}",
                         "--rate", str(_REPLAY_RATE)], cwd=streamer.folder, env=streamer.environment, stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE, text=True)
                elif kind != "alone":
                    stored = measured.administrator.state("elsewhere")["last_seq"]
                    beside = subprocess.Popen(
                        [str(measured.program), "publish", str(2 * seconds + 30), str(_REPLAY_RATE),
                         str(measured.deployment.folder / "elsewhere.samples"), measured.url, "elsewhere.Order.INSERT", str(stored),
                         str(_PAYLOAD_BYTES)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                try:
                    p99[kind].append(measured.measure(_LATENCY_RATE, seconds)[0]["p99"])
                    assert beside is None or beside.poll() is None, f"{kind}: ended too soon: {beside.stderr.read()[-2000:]}"
                finally:
                    if beside is not None:
                        beside.kill()
                        beside.wait()
        return {kind: statistics.median(values) for kind, values in p99.items()} | {"rounds": p99}
    finally:
        measured.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", nargs=2, default=["18", "2.15.1"], metavar=("POSTGRESQL", "NATS"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of each latency measurement")
    parser.add_argument("--rows", type=int, default=200_000, help="of each backlog")
    options = parser.parse_args()
    pair = Pair(*options.pair)
    for name, size in (("one transaction", options.rows), ("single rows", 1)):
        rates = throughput(pair, size, options.rows // size, max(1, options.rounds // 2))
        shown = ", ".join(f"{kind} {rate:,}/s ({rate / rates['streamer']:.2f})" for kind, rate in rates.items())
        print(f"{pair}: {options.rows:,} events, {name}: {shown}", flush=True)
    found = latency(pair, options.seconds, options.rounds)
    alone = found["alone"]
    beside = ", ".join(f"{found[kind]:.2f} ms {kind} at {_REPLAY_RATE:,}/s ({found[kind] / alone:.2f})"
                       for kind in found["rounds"] if kind != "alone")
    print(f"{pair}: p99 at {_LATENCY_RATE:,} commits/s: {alone:.2f} ms alone, {beside}; rounds {found['rounds']}")


if __name__ == "__main__":
    main()
