"""Faults planted in a copy of a good stream: what each one is, and what the comparison must say of it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from compare import compare
from oracles.expected import Expected
from stream import Event


@dataclass(frozen=True)
class Planted:
    """A stream with one fault. `named`: (kind, id, sequence) that must be among the differences; all of them must be
    about the ids in `touched`."""

    stored: list[Event]
    named: tuple[str, str, int | None]
    touched: frozenset[str]


def chained(stored: list[Event]) -> list[Event]:
    """The same messages as a stream would hold them in this order: their sequences and their chain are right, so that
    only the planted fault is wrong."""
    return [event.with_sequence(place, place - 1) for place, event in enumerate(stored, 1)]


def _planted(stored: list[Event], kind: str, place: int, *more: Event) -> Planted:
    """The fault is at index `place` of `stored`; `more` are touched too."""
    stored = chained(stored)
    at = stored[place]
    return Planted(stored, (kind, at.id, at.sequence), frozenset({at.id, *(event.id for event in more)}))


def dropped(good: list[Event], truth: list[Expected], choice: random.Random) -> Planted:
    """One event is not there."""
    place = choice.randrange(len(good))
    gone = good[place]
    return Planted(chained(good[:place] + good[place + 1:]), ("missing", gone.id, None), frozenset({gone.id}))


def doubled(good: list[Event], truth: list[Expected], choice: random.Random) -> Planted:
    """One event is stored again, somewhere behind its place."""
    place = choice.randrange(len(good))
    again = choice.randrange(place + 1, len(good) + 1)
    return _planted(good[:again] + [good[place]] + good[again:], "doubled", again)


def swapped(good: list[Event], truth: list[Expected], choice: random.Random) -> Planted:
    """Two neighbours of one transaction are stored the wrong way round."""
    place = choice.choice([at for at in range(len(good) - 1) if _same_transaction(truth, at, at + 1)])
    return _planted(good[:place] + [good[place + 1], good[place]] + good[place + 2:], "reordered", place, good[place])


def altered(good: list[Event], truth: list[Expected], choice: random.Random) -> Planted:
    """One byte of one body is another."""
    place = choice.randrange(len(good))
    event = good[place]
    index = choice.randrange(len(event.body))
    body = event.body[:index] + bytes([event.body[index] ^ 1]) + event.body[index + 1:]
    return _planted(good[:place] + [replace(event, body=body)] + good[place + 1:], "altered", place)


def torn(good: list[Event], truth: list[Expected], choice: random.Random) -> Planted:
    """The only event of a transaction has got between two events of the transaction before it."""
    ends = [at for at in range(1, len(good) - 2)
            if _same_transaction(truth, at - 1, at) and not _same_transaction(truth, at, at + 1)
            and not _same_transaction(truth, at + 1, at + 2)]
    end = choice.choice(ends)
    moved = good[:end] + [good[end + 1], good[end]] + good[end + 2:]
    return _planted(moved, "torn", end + 1, good[end + 1])


def last_moved(good: list[Event], truth: list[Expected], choice: random.Random) -> Planted:
    """`last` is set one event too early in its transaction."""
    place = choice.choice([at for at in range(1, len(good))
                           if b'"last":true' in good[at].body and _same_transaction(truth, at - 1, at)])
    early = replace(good[place - 1], body=good[place - 1].body.replace(b'"last":false', b'"last":true'))
    late = replace(good[place], body=good[place].body.replace(b'"last":true', b'"last":false'))
    return _planted(good[:place - 1] + [early, late] + good[place + 1:], "last", place - 1, late)


def _same_transaction(truth: list[Expected], one: int, other: int) -> bool:
    return truth[one].change.transaction is truth[other].change.transaction


# Every fault that the comparison must find.
FAULTS: dict[str, Callable[[list[Event], list[Expected], random.Random], Planted]] = {
    "one event dropped": dropped,
    "one event doubled": doubled,
    "two events swapped": swapped,
    "one byte altered": altered,
    "a transaction torn": torn,
    "a `last` moved": last_moved,
}


def require_found(planted: Planted, truth: list[Expected]) -> None:
    """Fails unless the comparison names the fault at its place, and nothing that it did not touch."""
    found = [(difference.kind, difference.id, difference.sequence)
             for difference in compare(planted.stored, truth).differences]
    assert planted.named in found, f"planted {planted.named}, found {found}"
    strangers = [difference for difference in found if difference[1] not in planted.touched]
    assert not strangers, f"planted {planted.named}, found besides {strangers}"
