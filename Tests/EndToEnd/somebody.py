"""What the tests of single rules do with strays: somebody else, a predecessor's late messages, a hole that is named and mended."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from servers.tools import wait_until
from strayed import missing_ids, sort_out
from strays import Strays
from stream import Event, position
from tenants import PATIENT, Tenant, record_entries, stopped

# What was confirmed is known soon; PostgreSQL does not drop a streamer that stands still for a moment.
QUICK = PATIENT | {"delivery": {"checkpoint_interval": "100ms"}}

# An id is remembered for so long where an echo is to be stored.
SHORT_WINDOW_SECONDS = 0.3


@pytest.fixture
def somebody():
    """Makes publishers: `somebody(tenant)`."""
    made: list[Strays] = []

    def make(tenant: Tenant, seed: int = 1) -> Strays:
        made.append(Strays(tenant.nats.url, tenant.name, tenant.prefix, f"{tenant.prefix}.Item.INSERT", seed))
        return made[-1]

    yield make
    for strays in made:
        strays.close()


def make_stream(tenant: Tenant, **settings) -> None:
    """The tenant's stream as an administrator makes it beforehand, and the rest by `setup`."""
    tenant.administrator.add(tenant.name, **{
        "subjects": [f"{tenant.prefix}.>"], "storage": "file", "discard": "old", "num_replicas": tenant.nats.replicas, "max_bytes": 2**28,
        "allow_direct": True, "duplicate_window": int(SHORT_WINDOW_SECONDS * 1e9)} | settings)
    tenant.streamer.setup()


def streaming(tenant: Tenant, count: int = 3) -> None:
    """It runs, and has stored and confirmed so many rows."""
    tenant.streamer.start()
    tenant.commit_each(1, count)
    tenant.wait_confirmed()
    tenant.watch_ids()


@contextmanager
def away(tenant: Tenant, is_frozen: bool) -> Iterator[None]:
    """Meanwhile the streamer stands still, or is dead (killed, and started again afterwards)."""
    if is_frozen:
        tenant.streamer.freeze()
        yield
        tenant.streamer.thaw()
    else:
        tenant.streamer.kill()
        tenant.wait_free()
        yield
        tenant.streamer.start(wait=False)


def late_publish(tenant: Tenant, identifier: str, number: int) -> int:
    """A message of the streamer's own that was under way for long, chained to what happens to be the last; returns its sequence."""
    last = tenant.last_sequence()
    return tenant.administrator.publish(f"{tenant.prefix}.Item.INSERT", json.dumps({"entity": {"n": number}}).encode(), Nats_Msg_Id=identifier,
                                        Nats_Expected_Last_Sequence=str(last)).sequence


def stopped_at_hole(tenant: Tenant, missing: list[str], streamer=None) -> str:
    """It has stopped with `hole_found`, named exactly these ids, and confirmed none of them; returns what it said."""
    said = stopped(streamer or tenant.streamer, 76, "hole_found", seconds=60)
    named = [identifier for identifier in tenant.coming_ids() if identifier in said]
    assert named == missing, said
    assert tenant.confirmed() <= position(missing[0])[0], "what is missing was confirmed"
    return said


def with_hole(tenant: Tenant, strays: Strays) -> list[str]:
    """Rows 1 to 10; 4 and 5 were refused behind a stray, 6 is stored, the rest waits. Returns the ids of 4 to 10."""
    streaming(tenant)
    with away(tenant, is_frozen=False):
        tenant.commit_each(4, 10)
        ids = tenant.coming_ids()
        strays.publish("plain")
        late_publish(tenant, ids[2], 6)
    stopped_at_hole(tenant, ids[:2])
    tenant.wait_free()
    return ids


def mend(tenant: Tenant, missing: list[str]) -> None:
    """As the remedy says; a marker names exactly these ids and who did it."""
    tenant.wait_free()
    assert "slotstream mend --by" in record_entries(tenant.streamer, "stopped")[-1]["remedy"]
    tenant.streamer.command("mend", "--by", "an operator")
    markers = [event for event in tenant.read() if event.stray is None and event.subject == f"{tenant.prefix}._slotstream.HOLE"]
    assert missing_ids(markers[-1]) == missing
    assert "an operator" in markers[-1].body.decode()


def require_whole(tenant: Tenant, last: int, strays: Strays | None = None, late: tuple[int, ...] = (), seconds: float = 30,
                  stored: Callable[[], list[Event]] | None = None) -> None:
    """Waits until all is confirmed: then the stream holds the rows 1 to `last`, each once, these of them late, the others in order; and
    exactly the strays that were published. `stored`: how the stream is read, if not as a consumer does."""
    tenant.wait_confirmed(seconds)
    if strays:
        strays.settle()
    found = sort_out((stored or tenant.read)(), strays.published if strays else [])
    assert not found.differences, "\n".join(map(str, found.differences))
    _require_rows([event.json["entity"]["n"] for event in found.late.values()], list(late))
    _require_rows([event.json["entity"]["n"] for event in found.ours], sorted({*range(1, last + 1)} - {*late}))


def keep_going(tenant: Tenant, last: int, strays: Strays, restartable: tuple[int, ...] = (), seconds: float = 60) -> int:
    """Until all is confirmed, a streamer that stops at a hole is mended and started again, and one that ends with a code that may be
    restarted is; then all is there. Returns how many holes there were."""
    holes = 0
    target = tenant.lsn("pg_current_wal_flush_lsn()")

    def caught_up() -> bool:
        nonlocal holes
        holes += see_to(tenant, restartable)
        return tenant.confirmed() >= target

    wait_until(caught_up, seconds, f"{target:X} is confirmed: {tenant.streamer.log}", 0.05)
    strays.settle()
    found = sort_out(tenant.read(), strays.published)
    assert not found.differences, "\n".join(map(str, found.differences))
    late = [event.json["entity"]["n"] for event in found.late.values()]
    _require_rows([event.json["entity"]["n"] for event in found.ours], sorted({*range(1, last + 1)} - {*late}))
    return holes


def see_to(tenant: Tenant, restartable: tuple[int, ...] = ()) -> bool:
    """Starts a streamer that has ended, after mending a hole if that is why; returns whether it is."""
    if tenant.streamer.running:
        return False
    code = tenant.streamer.process.returncode
    if code == 76:
        assert record_entries(tenant.streamer, "stopped")[-1]["reason"] == "hole_found", tenant.streamer.last_words()
        tenant.wait_free()
        tenant.streamer.command("mend", "--by", "an operator")
    else:
        assert code in restartable, tenant.streamer.last_words()
    tenant.streamer.start(wait=False)
    return code == 76


def _require_rows(stored: list[int], expected: list[int]) -> None:
    missing = [number for number in expected if number not in set(stored)]
    doubled = [number for number, count in Counter(stored).items() if count > 1]
    strange = [number for number in stored if number not in set(expected)]
    assert stored == expected, f"not stored: {missing[:20]}, stored twice: {doubled[:20]}, not expected: {strange[:20]}, else in another order"
