"""PostgreSQL is restarted under load, and its shutdown is not held up."""

import random

from test_load import rate, transactions

# What holds a stop up holds it up for ever.
FAST_STOP_SECONDS = 20.0


def test_the_stream_is_equal_after_fast_and_immediate_restarts_of_postgres(pair, deploy, seed, report):
    deployment = deploy(pair)
    choice = random.Random(seed)
    slowest = 0.0
    with deployment.sampler() as sampler:
        deployment.streamer.start()
        workload = deployment.workload(transactions(pair) // 2, seed, rate(pair)).start()
        for number, mode in enumerate(["fast", "immediate", "fast", "immediate"]):
            workload.wait_for((number + choice.uniform(0.2, 0.9)) / 4.5)
            took = deployment.postgres.restart(mode)
            if mode == "fast":
                slowest = max(slowest, took)
        workload.finish()
        deployment.wait_confirmed()
    assert slowest < FAST_STOP_SECONDS, f"pg_ctl stop -m fast took {slowest:.1f} s"
    result = deployment.compare_load(workload)
    positions = sampler.require_truth(deployment.truth.transactions)
    report(f"{pair}: PostgreSQL restarted fast and immediate, twice each (fast stop {slowest:.2f} s at most); "
           f"{result.compared} events compared, {len(result.differences)} differences; "
           f"{positions} confirmed positions sampled, none early")


def test_a_fast_shutdown_returns_while_nats_is_paused_and_100000_changes_are_unconfirmed(pair, deploy, report):
    deployment = deploy(pair)
    with deployment.sampler() as sampler:
        deployment.streamer.start()
        before = deployment.wait_confirmed()
        deployment.nats.pause()
        try:
            with deployment.postgres.connect() as connection:
                for number in range(100):
                    connection.execute(
                        "INSERT INTO tb_order_line (identifier, run, client, seq) "
                        "SELECT 'unconfirmed', 1, 1, %s * 1000 + i FROM generate_series(1, 1000) AS i", (number,))
            confirmed = deployment.confirmed()
            took = deployment.postgres.stop("fast")
        finally:
            deployment.nats.resume()
        deployment.postgres.start()
        deployment.wait_confirmed()
    result = deployment.compare()
    first = deployment.truth.transactions[0]
    assert before <= confirmed <= first.commit_lsn, "something was confirmed although NATS answered nothing"
    assert took < FAST_STOP_SECONDS, f"pg_ctl stop -m fast took {took:.1f} s"
    assert result.compared == 100_000
    sampler.require_truth(deployment.truth.transactions)
    report(f"{pair}: fast shutdown with nats-server paused and 100000 changes unconfirmed: {took:.2f} s; "
           f"{result.compared} events compared, {len(result.differences)} differences")
