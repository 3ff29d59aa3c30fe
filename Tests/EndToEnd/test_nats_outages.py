"""nats-server is killed, restarted in order, or answers nothing."""

import random
import time

from servers.nats import NatsServer
from servers.tools import wait_until
from test_load import rate, transactions


def test_the_stream_is_equal_after_nats_server_was_killed_three_times(pair, deploy, seed, report):
    deployment = deploy(pair)
    choice = random.Random(seed)
    with deployment.sampler() as sampler:
        deployment.streamer.start()
        workload = deployment.workload(transactions(pair) // 2, seed, rate(pair)).start()
        for number in range(3):
            workload.wait_for((number + choice.uniform(0.2, 0.9)) / 3.5)
            deployment.nats.kill()
            assert deployment.streamer.running, deployment.streamer.last_words()
            deployment.nats.start()
        workload.finish()
        deployment.wait_confirmed()
    result = deployment.compare_load(workload)
    positions = sampler.require_truth(deployment.truth.transactions)
    report(f"{pair}: nats-server killed 3 times; {result.compared} events compared, "
           f"{len(result.differences)} differences; {positions} confirmed positions sampled, none early")


def test_the_stream_is_equal_after_nats_server_was_restarted_in_order(pair, deploy, seed, report):
    """By SIGTERM and by lame duck mode, which shuts JetStream down under connections that live on; of a cluster, each server in
    turn."""
    deployment = deploy(pair)
    nats, choice = deployment.nats, random.Random(seed)
    with deployment.sampler() as sampler:
        deployment.streamer.start()
        # An end in order takes seconds, and the next one is to come under load too.
        workload = deployment.workload(transactions(pair) // 2, seed, rate(pair) // 2).start()
        for number, in_order in enumerate((NatsServer.stop, NatsServer.drain) * 2):
            workload.wait_for((number + choice.uniform(0.2, 0.9)) / 6.5)
            assert workload.running, "the server is to end under load"
            in_order(nats.servers[number % len(nats.servers)])
            assert deployment.streamer.running, deployment.streamer.last_words()
            nats.start()
        workload.finish()
        deployment.wait_confirmed()
    result = deployment.compare_load(workload)
    positions = sampler.require_truth(deployment.truth.transactions)
    report(f"{pair}: nats-server restarted in order 4 times; {result.compared} events compared, "
           f"{len(result.differences)} differences; {positions} confirmed positions sampled, none early")


def test_the_postgres_connection_outlives_a_nats_server_that_is_paused_longer_than_wal_sender_timeout(one_pair, deploy, seed):
    # Pitfalls 8 and 48: status updates go on whatever NATS does.
    deployment = deploy(one_pair, overrides={"source": {"wal_sender_timeout": "6s"}})
    deployment.streamer.start()
    deployment.wait_confirmed()
    sender = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'fraiseql_events'"
    holder = wait_until(lambda: deployment.postgres.value(sender), 10, "the slot is held")
    deployment.nats.pause()
    try:
        workload = deployment.workload(20_000, seed).start()
        workload.finish()
        end = time.monotonic() + 10
        while time.monotonic() < end:
            assert deployment.postgres.value(sender) == holder, "the connection did not live through the pause"
            time.sleep(0.1)
    finally:
        deployment.nats.resume()
    deployment.wait_confirmed()
    assert deployment.postgres.value(sender) == holder
    deployment.compare_load(workload)
