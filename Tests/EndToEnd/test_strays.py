"""Somebody else publishes on the prefix, at seeded moments, whatever breaks meanwhile: the stream is whole, or the streamer has stopped at
a hole, named what is missing, and the stream is whole after `mend`. Nothing is lost silently."""

import shutil
import time
from collections import Counter

import pytest

from conftest import STRAYED_PAIRS
from tenants import Servers
from trials import FAULTS, REPLICATED_FAULTS, Trial, plan

# Of each pair, where no number is given.
_TRIALS = 6


@pytest.fixture
def trials(request) -> int:
    """How many a pair has: its part of `--trials`, else a few."""
    given = request.config.getoption("--trials")
    return _TRIALS if given is None else -(-given // len(STRAYED_PAIRS))


def test_strays_lose_nothing_silently(pair, seed, trials, report):
    """A trial that fails is run again by `--trials 1 --seed` with the seed that the failure names."""
    servers = Servers(pair)
    began = time.monotonic()
    outcomes = []
    try:
        for number in range(trials):
            planned = plan(seed + number, pair.nats)
            trial = Trial(servers, number, planned)
            try:
                outcomes.append(trial.run())
            except BaseException:
                print(f"trial {number + 1} of {trials}, seed {planned.seed}: {planned}; logs: {servers.folder}")
                raise
            finally:
                trial.close()
    finally:
        servers.close()
    shutil.rmtree(servers.folder, ignore_errors=True)
    faults = Counter(outcome.plan.fault for outcome in outcomes)
    stopped = [outcome for outcome in outcomes if outcome.holes]
    lost = [outcome for outcome in outcomes if outcome.comparison is None]
    report(f"{pair}, seed {seed}: {len(outcomes)} trials in {time.monotonic() - began:.0f} s, "
           f"{len(outcomes) - len(stopped) - len(lost)} whole, "
           f"{len(lost)} stopped since JetStream had lost a tail that it had acknowledged, "
           f"{len(stopped)} stopped at a hole that they named and whole after mend ({sum(o.holes for o in stopped)} stops, "
           f"{sum(o.late for o in stopped)} events stored late), 0 silent; {sum(o.strays for o in outcomes)} strays, "
           f"{sum(o.comparison.compared for o in outcomes if o.comparison)} events; {dict(faults)}; "
           f"{sum(o.plan.is_atomic for o in outcomes)} in atomic batches")


@pytest.mark.parametrize("version", ["2.9.10", "2.15.1", "2.15.1-R3"])
def test_a_seed_reproduces_its_trial(version):
    plans = [plan(seed, version) for seed in range(200)]
    assert plans == [plan(seed, version) for seed in range(200)] and len(set(plans)) == 200
    assert {planned.fault for planned in plans} == {*FAULTS, *(REPLICATED_FAULTS if version.endswith("-R3") else ())}
    assert all(planned.strays for planned in plans)
    assert any(planned.is_atomic for planned in plans) == version.startswith("2.15")
