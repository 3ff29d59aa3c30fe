"""The plain case, at length: what was committed while the streamer ran is what is stored."""

import os
import random

from conftest import PAIRS
from faults import FAULTS, chained, require_found

# pgbench transactions; the environment may ask for fewer while something is being tried out.
_TRANSACTIONS = int(os.environ.get("SLOTSTREAM_LOAD", "200000"))

# On the pairs that only --all runs: what differs between servers shows early, and the matrix has to end.
_TRANSACTIONS_ELSEWHERE = min(_TRANSACTIONS, 40_000)

# While something is broken under it, a load is slow enough to outlast it: so many transactions a second.
_RATE = 5_000
_RATE_ELSEWHERE = 800

# A slice of the stream that is long enough to hold every kind of transaction, for planting faults in copies of it.
_SLICE = 2000


def transactions(pair) -> int:
    """How many pgbench transactions a pair's load has."""
    return _TRANSACTIONS if pair in PAIRS else _TRANSACTIONS_ELSEWHERE


def rate(pair) -> int:
    """How many of them there are a second while something is broken under the load."""
    return _RATE if pair in PAIRS else _RATE_ELSEWHERE


def test_the_stream_equals_what_eight_clients_committed(pair, deploy, seed, report):
    deployment, count = deploy(pair), transactions(pair)
    deployment.streamer.start()
    with deployment.sampler() as sampler:
        workload = deployment.workload(count, seed).start()
        workload.finish()
        deployment.wait_confirmed()
    result = deployment.compare_load(workload)
    positions = sampler.require_truth(deployment.truth.transactions)
    exact = sampler.exact(deployment.truth.transactions)
    assert exact > 0, "the confirmed position was never seen at the end of a transaction"
    report(f"{pair}: {count} pgbench transactions, {result.transactions} committed with changes, "
           f"{result.compared} events compared, {len(result.differences)} differences; "
           f"{positions} confirmed positions sampled, {exact} exactly a transaction's end, none early")

    choice = random.Random(seed)
    end = next(at for at in range(_SLICE, len(deployment.expected))
               if deployment.expected[at].change.ordinal == 1)
    good, truth = chained(deployment.events[:end]), deployment.expected[:end]
    for name, plant in FAULTS.items():
        planted = plant(good, truth, choice)
        require_found(planted, truth)
        report(f"{pair}: planted fault found: {name}: {planted.named[0]} at {planted.named[1]}")
    assert deployment.streamer.terminate() == 0
