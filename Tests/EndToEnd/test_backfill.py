"""A backfill of tables of every kind while eight writers change them and everything is killed: whoever applies the stream's events in stored order
has the tables, to the byte, and the live part is as strictly right as without one."""

import random
from dataclasses import dataclass

import pytest

import stream
from administrator import Administrator
from backfill_faults import BY_HAND
from backfill_load import PUBLISHED, BackfillLoad, fill, make_tables, stir
from backfilling import Runs, compare_with_tables, tables_of
from compare import compare
from oracles import expected, shapes
from oracles.backfilled import Backfilled
from servers.tools import wait_until


@dataclass(frozen=True)
class Scale:
    """How much of it: rows of all tables, the writers' operations, what is killed, rows a second (0: as they come), and the writers' transactions a second."""

    rows: int
    operations: int
    kills: int
    nats_kills: int
    restarts: tuple[str, ...]
    rate: int
    maintenance: int
    load_rate: int


_SHORT = Scale(rows=20_000, operations=12_000, kills=3, nats_kills=1, restarts=("immediate",), rate=2_000, maintenance=4, load_rate=800)
_WHOLE = Scale(rows=1_100_000, operations=120_000, kills=20, nats_kills=3, restarts=("fast", "immediate"), rate=0, maintenance=8, load_rate=1_200)

# The judge's parts of a run that was broken off so often.
_DONE_SECONDS = 900


@pytest.fixture
def scale(request) -> Scale:
    """The whole with --all."""
    return _WHOLE if request.config.getoption("--all") else _SHORT


def deployed(deploy, pair, rows: int, seed: int):
    def prepare(postgres) -> None:
        make_tables(postgres)
        fill(postgres, rows, seed)
        stir(postgres)

    return deploy(pair, prepare=prepare, has_witness=False, overrides={"source": {"tables": [f"public.{name}" for name in PUBLISHED]}})


def compare_live(deployment, judge: Backfilled):
    """The live part by the comparison that all other tests have, the rows of the backfill left aside."""
    with deployment.postgres.connect() as connection:
        types = expected.users_types(connection)
    deployment.truth.read()
    result = compare(judge.live, expected.events(deployment.truth.changes(), deployment.truth.id_prefix, types=types), judge.between).require_equal()
    committed = len(deployment.truth.transactions)
    assert result.transactions == committed, f"{result.transactions} transactions stored, {committed} committed"
    return result


def test_the_folded_stream_equals_the_tables_whatever_runs_and_breaks_meanwhile(backfill_pair, deploy, scale, seed, report):
    deployment = deployed(deploy, backfill_pair, scale.rows, seed)
    streamer, choice = deployment.streamer, random.Random(seed)
    runs = Runs(streamer, Administrator(deployment.nats.url))
    faults = ["streamer"] * scale.kills + ["nats"] * scale.nats_kills + list(scale.restarts)
    choice.shuffle(faults)
    moments = sorted(choice.uniform(0.02, 0.7) for _ in faults)
    met = 0

    def is_over() -> bool:
        state, why = runs.state(run)
        assert state not in ("failed", "cancelled"), f"the run is {state}: {why}; {streamer.log}"
        return state == "done"

    def walked() -> str | None:
        try:
            return runs.walked()
        except Exception:  # noqa: BLE001 - nats-server is killed meanwhile
            return None

    load = BackfillLoad(deployment.postgres, scale.operations, scale.rows, seed, scale.maintenance, scale.load_rate, walked)
    try:
        with deployment.sampler() as sampler:
            streamer.start()
            load.start()
            wait_until(lambda: load.done > scale.operations // 50, 60, "the writers write")
            run = runs.request("public.*", options=["--rate", str(scale.rate)] if scale.rate else [])
            for moment, fault in zip(moments, faults):
                wait_until(lambda: is_over() or runs.read() >= moment * scale.rows, _DONE_SECONDS, f"{moment:.0%} is read", 0.02)
                met += load.running and not is_over()
                if fault == "streamer":
                    streamer.kill()
                    streamer.start(wait=False)
                elif fault == "nats":
                    deployment.nats.kill()
                    deployment.nats.start()
                else:
                    deployment.postgres.restart(fault)
            runs.wait_done(run, _DONE_SECONDS)
            load.finish()
            deployment.wait_confirmed(_DONE_SECONDS)
    finally:
        load.close()
    with deployment.postgres.connect() as connection:
        found = shapes.shapes(connection, "fraiseql_events")
        events = list(stream.read(deployment.nats.url))
        judge = Backfilled(found).follow(events)
        result = judge.compare(tables_of(connection, found)).require_equal()
    live = compare_live(deployment, judge)
    positions = sampler.require_truth(deployment.truth.transactions)
    assert [told.number for told in judge.runs] == [run] and judge.runs[0].end == "end"
    assert judge.read >= scale.rows // 2, f"{judge.read} rows were read"
    report(f"{backfill_pair}: backfill of {judge.read} rows of {len(PUBLISHED)} tables under load, {len(faults)} times broken off "
           f"({met} in its midst), {len(judge.runs[0].restarts)} tables begun anew; {result.compared} rows folded and compared, "
           f"{live.compared} live events compared, 0 differences; {positions} confirmed positions sampled, none early")
    if scale is _SHORT:
        require_planted_are_found(deployment, events, choice, report)


def require_planted_are_found(deployment, events, choice, report) -> None:
    """Each fault that somebody's hand can make in these messages is found."""
    for name, plant in BY_HAND.items():
        planted, kinds = plant(events, choice)
        with deployment.postgres.connect() as connection:
            _, result = compare_with_tables(connection, "fraiseql_events", planted)
        found = {difference.kind for difference in result.differences}
        assert kinds & found, f"planted: {name}; found {found}"
        report(f"{deployment.pair}: planted fault found: {name}: {result.differences[0]}"[:200])
