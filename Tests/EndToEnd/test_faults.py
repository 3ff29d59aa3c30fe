"""Everything that can break is broken, on a seeded schedule, under load; then the stream is compared with what was committed."""

import json
import time
from collections import Counter

import pytest

from hurting import ANYWHERE, REPLICATED, SINGLE, Hurting, schedule

# Transactions a second: what a pair drains beside all that happens to it.
_RATE = 250


@pytest.fixture
def seconds(request) -> float:
    """How long the schedule is: `--minutes`, else a short one."""
    return float(request.config.getoption("--minutes")) * 60


def test_the_stream_is_equal_whatever_breaks(pair, deploy, seed, seconds, report):
    deployment = deploy(pair)
    report(f"{pair}: {hurt_and_compare(deployment, Hurting(deployment, seed), seed, seconds)}")


def hurt_and_compare(deployment, hurting: Hurting, seed: int, seconds: float) -> str:
    """A load, all faults of a schedule, and the comparison; says what was done and found."""
    steps = schedule(seed, seconds, deployment.nats.replicas > 1)
    began = time.monotonic()
    try:
        with deployment.sampler() as sampler:
            hurting.streamer.start()
            planned = sum(step.lasts * 1.2 + step.quiet + 0.3 for step in steps)
            workload = hurting.workload = deployment.workload(int(_RATE * planned), seed, _RATE).start()
            for step in steps:
                hurting.hurt(step)
            took = time.monotonic() - began
            workload.finish(seconds * 4 + 600)
            hurting.strays.settle()
            drained_from = time.monotonic()
            deployment.wait_confirmed(keep_alive=hurting.keep_alive)
            drained = time.monotonic() - drained_from
        result = deployment.compare_load(workload, hurting.strays.published)
        positions = sampler.require_truth(deployment.truth.transactions)
    finally:
        hurting.close()
    kinds = Counter(difference.kind for difference in result.differences)
    return (f"seed {seed}: {sum(hurting.done.values())} faults in {took:.0f} s {json.dumps(hurting.done)}; "
            f"{hurting.restarts} restarts after exit code 70; {len(hurting.strays.published)} strays, {hurting.holes} holes named and mended; {result.transactions} transactions, {result.compared} events; "
            + ", ".join(f"{kinds[kind]} {kind}" for kind in ("missing", "doubled", "reordered", "torn", "altered", "last", "foreign", "unchained"))
            + f"; {positions} confirmed positions sampled, none early; quiet {drained:.1f} s after the load's end")


@pytest.mark.parametrize("replicated", [False, True])
def test_a_seed_reproduces_its_schedule(replicated):
    once = schedule(7, 120, replicated)
    assert once == schedule(7, 120, replicated) != schedule(8, 120, replicated)
    names = {*ANYWHERE, *(REPLICATED if replicated else SINGLE)}
    assert {step.fault for step in once} == names
    assert all(callable(getattr(Hurting, "_" + name.replace(" ", "_"))) for name in names if not name.endswith(" inside"))
    assert all((step.inside is not None) == step.fault.endswith(" inside") for step in once)
    assert sum(step.lasts + step.quiet for step in once) >= 120
