"""A fast shutdown of PostgreSQL waits for its walsenders: each phase in which one is held lets it go."""

import signal

import pytest

from servers.tools import processor_seconds, wait_until
from tenants import SLOT_WAIT, record_entries

# What holds a stop up holds it up for as long as a drain lasts, or a backlog.
_FAST_STOP_SECONDS = 20.0

_ROWS = 600_000

# A minute's work for a walsender of which each takes some milliseconds.
_SLOW_ROWS = 20_000


def _insert(deployment, first: int, last: int) -> None:
    deployment.postgres.run("INSERT INTO tb_order_line (identifier, run, client, seq) "
                            f"SELECT 'unconfirmed', 1, 1, i FROM generate_series({first}, {last}) AS i")


def test_a_fast_shutdown_is_not_held_up_by_a_streamer_that_drains(pair, deploy, report):
    deployment = deploy(pair)
    deployment.streamer.start()
    deployment.wait_confirmed()
    deployment.nats.pause()
    try:
        _insert(deployment, 1, 10)
        wait_until(lambda: deployment.streamer.in_flight(), 30, "something is in flight")
        deployment.streamer.process.send_signal(signal.SIGTERM)
        wait_until(lambda: record_entries(deployment.streamer, "stopping: waiting for acks"), 30, "it drains")
        # What it does not read: the server has more to say than it has heard.
        _insert(deployment, 11, 20)
        took = deployment.postgres.stop("fast", seconds=70)
        assert took < _FAST_STOP_SECONDS, f"pg_ctl stop -m fast took {took:.1f} s"
        assert deployment.streamer.wait(30) == 0
    finally:
        deployment.nats.resume()
    deployment.postgres.start()
    deployment.streamer.start()
    deployment.wait_confirmed()
    assert deployment.compare().compared == 20
    report(f"{pair}: fast shutdown during a drain with nats-server paused: {took:.2f} s")


def test_a_fast_shutdown_is_not_held_up_by_a_backlog(one_pair, deploy, report):
    deployment = deploy(one_pair)
    _insert(deployment, 1, _ROWS)
    deployment.streamer.start()
    wait_until(lambda: deployment.last_stored()[1] > 0, 60, "the first rows are stored")
    took = deployment.postgres.stop("fast", seconds=70)
    _, ordinal = deployment.last_stored()
    assert took < _FAST_STOP_SECONDS, f"pg_ctl stop -m fast took {took:.1f} s"
    # What is in flight apart, all that is not stored was not waited for.
    assert ordinal < _ROWS - 100_000, f"{ordinal} of {_ROWS} had been sent before it was let go"
    report(f"{one_pair}: fast shutdown behind a backlog of {_ROWS - ordinal} rows: {took:.2f} s")


def test_a_fast_shutdown_is_not_held_up_by_a_long_decoding(pair, deploy, report):
    """A walsender that decodes a transaction of which nothing is published has nothing to say, and nothing of its client's to wait for."""
    deployment = deploy(pair)
    # A publication's filter makes each row a matter of milliseconds: long, without many gigabytes.
    deployment.postgres.run("CREATE TABLE quiet (n BIGINT PRIMARY KEY)")
    deployment.postgres.run("ALTER PUBLICATION fraiseql_events ADD TABLE quiet WHERE (length(repeat('x', n::int)) < 0)")
    deployment.streamer.start()
    _insert(deployment, 1, 10)
    deployment.wait_confirmed()
    walsender = deployment.postgres.value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'fraiseql_events'")
    began = processor_seconds(walsender)
    deployment.postgres.run(f"INSERT INTO quiet SELECT 20000000 + i FROM generate_series(1, {_SLOW_ROWS}) AS i")
    committed = deployment.postgres.flushed()
    wait_until(lambda: processor_seconds(walsender) > began + 1, 60, "the walsender decodes")
    took = deployment.postgres.stop("fast", seconds=70)
    assert took < _FAST_STOP_SECONDS, f"pg_ctl stop -m fast took {took:.1f} s"
    deployment.streamer.kill()
    deployment.postgres.start()
    assert deployment.confirmed() < committed, "it had decoded all before it was let go"
    report(f"{pair}: fast shutdown during a long decoding: {took:.2f} s")


@pytest.mark.parametrize("phase", ["starting", "setting up"])
def test_a_fast_shutdown_is_not_held_up_before_it_streams(one_pair, deploy, phase):
    deployment = deploy(one_pair)
    if phase == "starting":
        deployment.nats.pause()
        deployment.streamer.start(wait=False)
        wait_until(lambda: record_entries(deployment.streamer, "connected to PostgreSQL"), 30, "it has a walsender")
        took = deployment.postgres.stop("fast", seconds=70)
        deployment.nats.resume()
    else:
        deployment.streamer.command("slot", "drop", "fraiseql_events", "--yes")
        other = deployment.postgres.connect()
        other.execute("BEGIN")
        other.execute("INSERT INTO tb_order_line (identifier, run, client, seq) VALUES ('open', 1, 1, 0)")
        process, said = deployment.streamer.begin("slot", "advance", "--accept-gap")
        wait_until(lambda: SLOT_WAIT in said.read_text(), 30, "the slot waits for a transaction")
        took = deployment.postgres.stop("fast", seconds=70)
        other.close()
        assert process.wait(30) != 0
    assert took < _FAST_STOP_SECONDS, f"pg_ctl stop -m fast took {took:.1f} s"

