"""How fast a backlog is gone: one transaction of 500,000 rows, and 200,000 single-row transactions.

Made while the streamer is down, then timed from its start until the last event is stored; CPU seconds and peak memory are
the kernel's figures of the streamer's process. Orders of magnitude: machines are noisy, so no figure fails anything.

    cd Tests/Benchmarks
    SLOTSTREAM_BINARY=… SLOTSTREAM_TOOLS=… $SLOTSTREAM_TOOLS/bin/python backlog.py [15 2.9.10]
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "EndToEnd"))

from deployment import Deployment, Pair, demo_schema  # noqa: E402

ROWS = 500_000
TRANSACTIONS = 200_000

_ROW = "('order ' || {n}, ARRAY['sku-1'], '1 Main Street', 'pending')"
_COLUMNS = "tb_order (identifier, items, shipping_address, status)"


def _bulk(deployment: Deployment) -> int:
    deployment.postgres.run(f"INSERT INTO {_COLUMNS} SELECT v.* FROM generate_series(1, {ROWS}) AS n, "
                            f"LATERAL (VALUES {_ROW.format(n='n')}) AS v")
    return ROWS


def _single_rows(deployment: Deployment) -> int:
    # One transaction a row, without a round trip for each.
    deployment.postgres.run(f"CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$ BEGIN "
                            f"PERFORM set_config('synchronous_commit', 'off', false); FOR n IN 1..{TRANSACTIONS} LOOP "
                            f"INSERT INTO {_COLUMNS} VALUES {_ROW.format(n='n')}; COMMIT; END LOOP; END $$")
    deployment.postgres.run("CALL fill()")
    return TRANSACTIONS


def measure(pair: Pair, name: str, make) -> None:
    deployment = Deployment(pair, prepare=demo_schema)
    try:
        count = make(deployment)
        began = time.monotonic()
        deployment.streamer.start()
        deployment.wait_confirmed(600)
        took = time.monotonic() - began
        cpu, peak = deployment.streamer.cpu_seconds(), deployment.streamer.peak_memory()
        print(f"{pair}: {name}: {count / took:,.0f} events/s ({took:.1f} s), "
              f"{cpu / count * 1e6:.1f} µs CPU an event ({cpu:.1f} s), peak memory {peak / 2**20:.1f} MB", flush=True)
    finally:
        deployment.close()
        deployment.remove()


if __name__ == "__main__":
    chosen = Pair(*sys.argv[1:3]) if len(sys.argv) > 2 else Pair("15", "2.9.10")
    measure(chosen, f"one transaction of {ROWS:,} rows", _bulk)
    measure(chosen, f"{TRANSACTIONS:,} single-row transactions", _single_rows)
