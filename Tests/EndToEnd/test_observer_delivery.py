"""Every event is done or is a dead letter, whatever the receiver answers, whoever is killed: 3,000 events here, 100,000 in test_observer_mass.py."""

import shutil
import tempfile
from pathlib import Path

import pytest

from hurt_workers import HurtWorkers

# Who works of several: the one that has the lease, or all. (Or the one that nats-server chooses, which only newer ones do.)
ORDERINGS = ("lease", "unordered")
_SHORT = {"count": 3000, "entities": 300, "kills": 6, "outages": 2, "seconds": 180}


def deliver(pair, seed: int, ordering: str, count: int, entities: int, kills: int, outages: int, seconds: float) -> str:
    """Fails on any difference; says what was compared."""
    folder = Path(tempfile.mkdtemp(prefix="slotstream-e2e-"))
    print(f"logs: {folder}")
    hurt = HurtWorkers(pair.nats, folder, seed, ordering != "unordered", ordering == "pinned")
    try:
        outcome = hurt.run(count, entities, kills, outages, seconds).require_right()
    finally:
        hurt.close()
    shutil.rmtree(folder)
    assert hurt.kills == kills and hurt.outages == outages
    assert set(outcome.dead) == {"permanent", "attempts_exhausted"}, outcome
    return (f"nats-server {pair.nats}: observer workers ({ordering}) killed {kills} times, "
            f"nats-server {outages} times; {outcome}")


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_every_event_is_done_or_dead(pair, seed, report, ordering):
    report(deliver(pair, seed, ordering, **_SHORT))


def test_every_event_of_a_pinned_consumer_is_done_or_dead(newest_pair, seed, report):
    report(deliver(newest_pair, seed, "pinned", **_SHORT))
