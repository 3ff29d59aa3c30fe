"""The streamer is killed with -9, again and again, while transactions are committed."""

import random
import time
from bisect import bisect_left
from dataclasses import dataclass

from oracles.changes import lsn_text
from servers.tools import wait_until
from test_load import rate, transactions

KILLS = 20
WITH_WORK = 15

# The stream forgets message ids after this; once the streamer stays dead for longer.
_DUPLICATE_WINDOW_SECONDS = 1.0


@dataclass
class _Kill:
    """What the streamer had in hand when it was killed: messages without an ack (by /status), and what the servers said
    afterwards: the confirmed position, and the position of the last message stored."""

    in_flight: int
    confirmed: int
    stored: tuple[int, int]

    @property
    def is_unconfirmed(self) -> bool:
        """Whether something is stored that PostgreSQL was not told of, and sends again."""
        return self.stored[0] >= self.confirmed


def test_the_stream_is_equal_after_twenty_kills_and_a_death_longer_than_the_duplicate_window(pair, deploy, seed, report):
    deployment = deploy(pair, duplicate_window=_DUPLICATE_WINDOW_SECONDS)
    streamer, choice = deployment.streamer, random.Random(seed)
    kills: list[_Kill] = []
    moments = sorted(choice.uniform(0.02, 0.95) for _ in range(KILLS))
    long_death = choice.randrange(5, 15)

    def work() -> None:
        stored = deployment.last_stored()
        wait_until(lambda: not workload.running or deployment.last_stored() > stored, 60, "something more is stored")

    def kill() -> None:
        in_flight = streamer.in_flight() or 0
        streamer.kill()
        deployment.wait_slot_free()
        kills.append(_Kill(in_flight, deployment.confirmed(), deployment.last_stored()))

    with deployment.sampler() as sampler:
        workload = deployment.workload(transactions(pair), seed, rate(pair)).start()
        streamer.start()
        for number, moment in enumerate(moments):
            workload.wait_for(moment)
            if choice.random() < 0.8:
                # Most die at work, the others while they still find their place.
                work()
            kill()
            if number == long_death:
                # What is sent again afterwards is what no id is remembered of: there must be some.
                while not kills[-1].is_unconfirmed:
                    assert workload.running, "the load ended before a kill left anything unconfirmed"
                    streamer.start()
                    work()
                    kill()
                long_dead = kills[-1]
                # The passing of time is the point here: by then no message id is remembered.
                time.sleep(3 * _DUPLICATE_WINDOW_SECONDS)
            streamer.start()
        workload.finish()
        deployment.wait_confirmed()
    result = deployment.compare_load(workload)
    positions = sampler.require_truth(deployment.truth.transactions)

    places = [(item.change.transaction.commit_lsn, item.change.ordinal) for item in deployment.expected]
    with_work = 0
    for number, death in enumerate(kills, 1):
        # Stored, and PostgreSQL was not told: what a restart would store twice if it did not know better.
        unconfirmed = bisect_left(places, (death.stored[0], death.stored[1] + 1)) - bisect_left(places, (death.confirmed, 0))
        with_work += death.in_flight > 0 or unconfirmed > 0
        assert unconfirmed > 0 or death is not long_dead, "nothing was stored and unconfirmed when it died for long"
        report(f"{pair}: kill {number:2}: {death.in_flight} messages in flight, {max(unconfirmed, 0)} stored and "
               f"unconfirmed, confirmed {lsn_text(death.confirmed)}{', then dead for 3 s' * (death is long_dead)}")
    report(f"{pair}: {len(kills)} kills of the streamer, {with_work} with messages in flight or unconfirmed; "
           f"{result.compared} events compared, {len(result.differences)} differences; "
           f"{positions} confirmed positions sampled, none early")
    assert with_work >= WITH_WORK, f"only {with_work} of {len(kills)} kills met work in flight"
