"""Somebody who may answer in JetStream's place, and does: what he says traps nothing, fills no log, confirms nothing and loses nothing."""

import random
import time

from hostile import Hostile
from servers.tools import wait_until
from tenants import tenant_maker, tenants  # noqa: F401

# Of each round how many of its requests, in percent, only the other one answers; where it is few, it streams meanwhile.
_ROUNDS = (50, 10, 5)
_ANSWERS = 100
# The streamer waits longer and longer between attempts: it is started anew before that is long, to hear more.
_LIFE_SECONDS = 4
# The longest line and log that they may leave behind.
_LINE_BYTES = 20_000
_LOG_BYTES = 20_000_000


def test_nothing_that_answers_in_jetstreams_place_traps_it_or_confirms_anything(one_pair, tenants, seed, report):
    tenant = tenants(one_pair)
    tenant.watch_ids()
    choice = random.Random(seed)
    tenant.streamer.start()
    tenant.commit_each(1, 20)
    tenant.wait_stored(20)
    tenant.wait_confirmed()
    last = 20
    endings = []
    answered = 0
    for percent in _ROUNDS:
        hostile = Hostile(tenant.nats, tenant.administrator.info(tenant.name), tenant.administrator.record(tenant.name),
                          [f"{tenant.prefix}.>", "$KV.slotstream.>"], percent, choice.randrange(2**31))
        started = time.monotonic()
        try:
            def goes_on() -> bool:
                nonlocal last, started
                tenant.commit_each(last + 1, last + 5)
                last += 5
                if tenant.streamer.running and time.monotonic() > started + _LIFE_SECONDS:
                    tenant.streamer.kill()
                elif not tenant.streamer.running:
                    endings.append(tenant.streamer.process.returncode)
                if not tenant.streamer.running:
                    tenant.streamer.start(wait=False)
                    started = time.monotonic()
                return hostile.answered >= _ANSWERS

            wait_until(goes_on, 120, f"it was answered {_ANSWERS} times", 0.2)
        finally:
            tenant.streamer.kill()
            hostile.close()
        answered += hostile.answered
        # Nothing streams now: all that was confirmed must be there.
        tenant.wait_free()
        confirmed = tenant.confirmed()
        stored = {event.id for event in tenant.events()}
        early = [name for name in tenant.coming_ids() if int(name.split(".")[4], 16) < confirmed and name not in stored]
        assert not early, f"confirmed up to {confirmed:X}, and not stored: {early}"
        tenant.streamer.start()
        tenant.wait_stored(last)
        tenant.wait_confirmed()
    tenant.require_exact(*range(1, last + 1))
    assert tenant.streamer.terminate() == 0
    # Each with a reason of its own; no trap, and no bug.
    assert set(endings) <= {73, 76, 77, 78}, endings
    lines = tenant.streamer.log.read_bytes().splitlines()
    assert max(map(len, lines)) < _LINE_BYTES and sum(map(len, lines)) < _LOG_BYTES
    report(f"{one_pair}: {answered} forged answers, {len(endings)} stops {sorted(set(endings))}, {len(lines)} log lines, the longest {max(map(len, lines))} bytes")
