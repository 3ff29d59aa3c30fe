"""What PostgreSQL is told, and when."""

from contextlib import ExitStack

import failpoints
from servers.tools import wait_until


def test_an_idle_publication_does_not_pin_wal_while_other_tables_are_written(one_pair, deploy):
    # Pitfall 3.
    deployment = deploy(one_pair)
    deployment.streamer.start()
    deployment.postgres.run("CREATE TABLE not_published (n BIGINT, filler TEXT)")
    restart = "SELECT (restart_lsn - '0/0')::bigint FROM pg_replication_slots WHERE slot_name = 'fraiseql_events'"
    before = deployment.postgres.value(restart)
    for _ in range(5):
        deployment.postgres.run(
            "INSERT INTO not_published SELECT i, repeat('x', 500) FROM generate_series(1, 20000) AS i")
        deployment.postgres.run("CHECKPOINT")
        deployment.wait_confirmed(30)
    # PostgreSQL moves restart_lsn with its own snapshots, at most every 15 s and at checkpoints.
    wait_until(lambda: deployment.postgres.run("CHECKPOINT") is None
               and deployment.postgres.value(restart) > before + 10 * 2**20, 60, "restart_lsn follows", 0.5)
    assert deployment.last_stored() == (0, 0)


def test_commits_back_to_back_are_confirmed_at_their_exact_end_and_none_is_lost(pair, deploy):
    # Pitfalls 1 and 10: the next commit record starts where the confirmed one ends.
    deployment = deploy(pair)
    streamer = deployment.streamer
    streamer.start()
    with deployment.sampler() as sampler:
        for number in range(40):
            with ExitStack() as stack:
                connections = [stack.enter_context(deployment.postgres.connect()) for _ in range(6)]
                for client, connection in enumerate(connections):
                    connection.execute("BEGIN")
                    connection.execute("INSERT INTO tb_order_line (identifier, run, client, seq) VALUES "
                                       "('back to back', 1, %s, %s)", (client, number))
                for connection in connections:
                    connection.execute("COMMIT")
            if number % 10 == 9:
                streamer.kill()
                streamer.start()
        deployment.wait_confirmed()
    deployment.compare()
    transactions = deployment.truth.transactions
    adjacent = sum(one.end_lsn == other.commit_lsn for one, other in zip(transactions, transactions[1:]))
    assert adjacent >= 100, f"only {adjacent} commits were back to back"
    sampler.require_truth(transactions)


def test_confirms_nothing_of_a_transaction_in_whose_middle_it_is_told_to_stop(pair, deploy):
    # Pitfall 7.
    deployment = deploy(pair)
    rows = 200_000
    failpoints.start(deployment.streamer, "after_send", "terminate", 2001)
    deployment.streamer.wait_ready()
    deployment.wait_confirmed()
    deployment.postgres.run("INSERT INTO tb_order_line (identifier, run, client, seq) "
                            f"SELECT 'one of many', 1, 1, i FROM generate_series(1, {rows}) AS i")
    assert deployment.streamer.wait(120) == 0
    commit_lsn, ordinal = deployment.last_stored()
    assert 2000 < ordinal < rows, f"it stopped after {ordinal} of {rows}: not in the middle"
    deployment.wait_slot_free()
    assert deployment.confirmed() <= commit_lsn
    deployment.streamer.start()
    deployment.wait_confirmed()
    result = deployment.compare()
    assert result.compared == rows


def test_everything_read_is_confirmed_when_it_stops(one_pair, deploy, seed):
    deployment = deploy(one_pair)
    deployment.streamer.start()
    deployment.workload(20_000, seed).start().finish()
    deployment.wait_confirmed()
    assert deployment.streamer.terminate() == 0
    deployment.wait_slot_free()
    deployment.compare()
    assert deployment.confirmed() >= deployment.truth.transactions[-1].end_lsn
