"""The whole of test_observer_delivery.py: 100,000 events, workers killed forty times and nats-server ten times (long)."""

import pytest

from test_observer_delivery import ORDERINGS, deliver


_WHOLE = {"count": 100_000, "entities": 5000, "kills": 40, "outages": 10, "seconds": 3000}


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_a_hundred_thousand_events_are_done_or_dead(pair, seed, report, ordering):
    report(deliver(pair, seed, ordering, **_WHOLE))


def test_a_hundred_thousand_events_of_a_pinned_consumer_are_done_or_dead(newest_pair, seed, report):
    report(deliver(newest_pair, seed, "pinned", **_WHOLE))
