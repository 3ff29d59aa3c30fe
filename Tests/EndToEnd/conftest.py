"""Pairs of servers, deployments that are cleaned up, seeds, and the closing report."""

import json
import os
import random
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployment import Deployment, Pair
from servers.tools import children, memory_folder

# What is tested without --all: the oldest servers supported, and the newest. Tests with `pair` run on both (of the rules each on
# one of the two), tests with `one_pair` on the newest. With --all, `pair` is every pair and `one_pair` both. Tests with
# `single_pair` concern a single store, and never run with replicas; those with `newest_pair` need what only the newest servers have; those with `atomic_pair` need atomic batches; those with
# `postgres_pair` run on every PostgreSQL, each of which goes its own way; those with `backfill_pair` on the oldest pair, with --all at length on every PostgreSQL; those with `refusing_pair` concern what replicated servers do with a refused id, with --all also those that call it a duplicate.
PAIRS = [Pair("15", "2.9.10"), Pair("18", "2.15.1")]
# What concerns PostgreSQL's side only: each version once.
POSTGRES_PAIRS = [Pair("15", "2.9.10"), Pair("16", "2.15.1"), Pair("18", "2.15.1")]
ALL_PAIRS = [Pair(postgres, nats) for postgres in ("15", "16", "18") for nats in ("2.9.10", "2.15.1", "2.15.1-R3")]
# With a nats-server that takes atomic batches.
ATOMIC_PAIRS = [pair for pair in ALL_PAIRS if not pair.nats.startswith("2.9") and pair.postgres != "16"]
# Replicated servers that call messages duplicates which were never stored.
FALSE_DUPLICATES = [Pair("15", "2.10.26-R3"), Pair("15", "2.11.9-R3")]
# Whom the trials with strays (test_strays.py) are tried on: with each way in which a stray is kept from making a hole, and without any.
STRAYED_PAIRS = [Pair("15", "2.9.10"), Pair("15", "2.10.26"), Pair("18", "2.15.1"), Pair("15", "2.10.26-R3"), Pair("18", "2.15.1-R3")]

_REPORTED = "reported"
_lines: list[str] = []
_failed = pytest.StashKey[bool]()


# Run with --all, or when named: what takes minutes beside what it shows.
LONG = {"test_failover", "test_failpoints", "test_clocks", "test_liveness", "test_nats_limits", "test_nats_partitions", "test_postgres_upgrade", "test_watching_page",
        "test_deploy_boot", "test_deploy_image", "test_deploy_package", "test_observer_mass"}
# With --all also with replicas: the rules by which the stream and the record are read, lost and found.
REPLICATED_RULES = {"test_rules_foreign", "test_rules_gap", "test_rules_lost_history", "test_rules_lost_slot", "test_rules_record",
                    "test_rules_stored", "test_rules_takeover"}

# Who works of several, and what is lost when it dies: on both pairs, and with replicas where --all is.
OBSERVER_PAIRS = {"test_observer_delivery", "test_observer_mass", "test_observer_workers", "test_observer_failpoints"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="every pair of servers, not only the oldest and the newest")
    parser.addoption("--minutes", type=float, default=0.5, help="how long test_faults.py hurts each pair, at least")
    parser.addoption("--trials", type=int, default=None, help="how many trials test_strays.py makes, shared by every pair")
    parser.addoption("--seed", type=int, default=None, help="of everything random in the tests")


def pytest_configure(config: pytest.Config) -> None:
    # Whoever names a folder gets it there.
    if "TMPDIR" not in os.environ:
        tempfile.tempdir = memory_folder()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everything = metafunc.config.getoption("--all") or metafunc.config.getoption("--trials") is not None
    every_pair = ALL_PAIRS
    module = metafunc.module.__name__
    default = PAIRS
    if module.startswith("test_observer") and module not in OBSERVER_PAIRS:
        # What a worker does on JetStream's side by the server's version (pinned clients, leases) is in OBSERVER_PAIRS.
        turn = zlib.crc32(metafunc.function.__name__.encode()) % len(PAIRS)
        default, every_pair = [PAIRS[turn]], PAIRS
    elif module in OBSERVER_PAIRS:
        every_pair = [*PAIRS, ALL_PAIRS[-1]]
    elif module.startswith("test_rules") or module == "test_deploy_security":
        # The servers' differences are the load tests' matter: a rule is tried on one of the default pairs, in turn, and on both with --all.
        turn = zlib.crc32(metafunc.function.__name__.encode()) % len(PAIRS)
        default = [PAIRS[turn]]
        every_pair = [*PAIRS, ALL_PAIRS[-1]] if module in REPLICATED_RULES else PAIRS
    elif module.startswith("test_events"):
        every_pair = POSTGRES_PAIRS
    elif module == "test_faults":
        every_pair = [*ALL_PAIRS, *FALSE_DUPLICATES]
    elif module == "test_strays":
        every_pair = STRAYED_PAIRS
    elif module == "test_failpoints":
        every_pair = [*PAIRS, ALL_PAIRS[-1]]
    elif module in LONG:
        every_pair = PAIRS
    # What costs most beside what it shows: the newest pair, and all with --all.
    if module in ("test_faults", "test_events_columns", "test_events_messages"):
        default = PAIRS[1:]
    single = default if module.startswith("test_rules") else PAIRS
    newest = PAIRS[1:]
    replicated = ALL_PAIRS[-1:]
    chosen_pairs = (("pair", default, every_pair), ("single_pair", single, PAIRS), ("oldest_pair", PAIRS[:1], PAIRS[:1]),
                    ("refusing_pair", replicated, [*replicated, *FALSE_DUPLICATES]),
                    ("newest_pair", newest, newest),
                    ("one_pair", newest, newest if module == "test_atomic" else PAIRS), ("atomic_pair", newest, ATOMIC_PAIRS))
    chosen_pairs += (("postgres_pair", POSTGRES_PAIRS, POSTGRES_PAIRS), ("backfill_pair", PAIRS[:1], POSTGRES_PAIRS))
    for name, pairs, all_pairs in chosen_pairs:
        if name in metafunc.fixturenames:
            chosen = all_pairs if everything else pairs
            metafunc.parametrize(name, chosen, ids=lambda pair: f"{pair.postgres}-{pair.nats}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the long tests to --all, unless they are named."""
    named = {Path(argument.split("::")[0]).stem for argument in config.args}
    if config.getoption("--all"):
        return
    left = [item for item in items if item.module.__name__ in LONG - named]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        _lines.extend(line for name, line in report.user_properties if name == _REPORTED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call):
    outcome = yield
    if call.when == "call" or outcome.failed:
        item.stash[_failed] = outcome.failed
    return outcome


@pytest.fixture(scope="session", autouse=True)
def nothing_left():
    """Fails the last test of a process that leaves servers or streamers running, whatever its single tests said."""
    yield
    left = [Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ") for child in children(os.getpid())]
    assert not left, f"still running: {left}"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """--seed, else $SLOTSTREAM_SEED, else a new one; a failing test shows it."""
    given = request.config.getoption("--seed") or os.environ.get("SLOTSTREAM_SEED")
    chosen = int(given) if given else random.SystemRandom().randrange(1, 2**31)
    print(f"seed: {chosen}  (again: --seed {chosen})")
    return chosen


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Adds a line to the report at the end of the run; by the way that is open to a worker too."""
    return lambda line: request.node.user_properties.append((_REPORTED, line))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach, with a path short enough for a socket."""
    made = Path(tempfile.mkdtemp(prefix="slotstream-e2e-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def deploy(request: pytest.FixtureRequest):
    """Makes deployments (as the class does), ends them after the test, and keeps their folder if it failed."""
    made: list[Deployment] = []

    def make(*arguments, **options) -> Deployment:
        deployment = Deployment(*arguments, **options)
        made.append(deployment)
        return deployment

    yield make
    for deployment in made:
        deployment.close()
        if request.node.stash.get(_failed, True):
            print(f"logs: {deployment.folder}")
        else:
            deployment.remove()


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """The report; for deploy/test, which prints it last, together with the counts in the file $SLOTSTREAM_RESULTS."""
    path = os.environ.get("SLOTSTREAM_RESULTS")
    if _lines and not path:
        terminalreporter.section("what was compared")
        for line in _lines:
            terminalreporter.write_line(line)
    if path:
        count = {kind: len(terminalreporter.stats.get(kind, [])) for kind in ("passed", "failed", "error", "skipped")}
        # A skipped test proves nothing: it counts as failed.
        failed = count["failed"] + count["error"] + count["skipped"]
        Path(path).write_text(json.dumps({"passed": count["passed"], "failed": failed, "report": _lines}))
