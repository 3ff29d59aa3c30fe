"""Faults planted in a copy of a good run of an observer worker: what each one is, and what the judge must say of it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from deliveries import Judge
from hooks import Arrival
from orders import Order


@dataclass(frozen=True)
class Planted:
    """A run with one fault. `named`: (kind, id) that must be among the differences; all of them must be about the ids in `touched`."""

    arrivals: list[Arrival]
    dead: list[dict]
    named: tuple[str, str]
    touched: frozenset[str]


Run = tuple[list[Order], list[Arrival], list[dict]]


def _planted(arrivals: list[Arrival], dead: list[dict], kind: str, *ids: str) -> Planted:
    return Planted(arrivals, dead, (kind, ids[0]), frozenset(ids))


def _with(run: Run, at: Arrival, **changes) -> list[Arrival]:
    """All arrivals, one of them changed."""
    return [replace(arrival, **changes) if arrival is at else arrival for arrival in run[1]]


def _done(run: Run, choice: random.Random) -> Arrival:
    """An arrival that was seen, of an event that arrived once."""
    counted = {arrival.key: arrival.attempt for arrival in run[1]}
    return choice.choice([arrival for arrival in run[1] if arrival.seen and counted[arrival.key] == 1])


def lost(run: Run, choice: random.Random) -> Planted:
    """An event never arrived."""
    gone = _done(run, choice).key
    return _planted([arrival for arrival in run[1] if arrival.key != gone], run[2], "lost", gone)


def untold(run: Run, choice: random.Random) -> Planted:
    """An event was acknowledged although its last answer said no."""
    at = _done(run, choice)
    return _planted(_with(run, at, answer="500", seen=False, told=False), run[2], "lost", at.key)


def doubled(run: Run, choice: random.Random) -> Planted:
    """An event was done again under another key."""
    at = _done(run, choice)
    return _planted([*run[1], replace(at, key=f"{at.key}-again", at=run[1][-1].at + 1)], run[2], "doubled", at.key)


def rekeyed(run: Run, choice: random.Random) -> Planted:
    """A repeat came with a key of its own."""
    at = choice.choice([arrival for arrival in run[1] if arrival.attempt > 1 and not arrival.seen])
    return _planted(_with(run, at, key=f"{at.key}.2"), run[2], "key", at.key)


def altered(run: Run, choice: random.Random) -> Planted:
    """A body that is not the event's, well signed or not."""
    at = _done(run, choice)
    return _planted(_with(run, at, body=at.body.replace("pending", "Pending")), run[2], "altered", at.key)


def missigned(run: Run, choice: random.Random) -> Planted:
    """A signature of another moment."""
    at = _done(run, choice)
    name = "x-fraiseql-signature-256"
    headers = at.headers | {name: at.headers[name].replace("t=1", "t=2", 1)}
    return _planted(_with(run, at, headers=headers), run[2], "signature", at.key)


def swapped(run: Run, choice: random.Random) -> Planted:
    """Two events of one order arrived the wrong way round."""
    orders, arrivals, dead = run
    of_key = {}
    for arrival in arrivals:
        of_key.setdefault(arrival.key, []).append(arrival)
    by_entity: dict[str, list[Order]] = {}
    for order in orders:
        by_entity.setdefault(order.entity_id, []).append(order)
    pairs = [(one, other) for history in by_entity.values() for one, other in zip(history, history[1:])
             if all(len(of_key[order.id]) == 1 and of_key[order.id][0].seen for order in (one, other))]
    one, other = (of_key[order.id][0] for order in choice.choice(pairs))
    moved = {id(one): replace(one, at=other.at), id(other): replace(other, at=one.at)}
    found = sorted((moved.get(id(arrival), arrival) for arrival in arrivals), key=lambda arrival: arrival.at)
    return _planted(found, dead, "reordered", other.key, one.key)


def without_letter(run: Run, choice: random.Random) -> Planted:
    """A dead letter is not there."""
    gone = choice.choice(run[2])
    return _planted(run[1], [letter for letter in run[2] if letter is not gone], "lost", gone["event_id"])


def second_letter(run: Run, choice: random.Random) -> Planted:
    """A dead letter is there twice."""
    letter = choice.choice(run[2])
    return _planted(run[1], [*run[2], letter], "dead twice", letter["event_id"])


def wrong_reason(run: Run, choice: random.Random) -> Planted:
    """A dead letter that says `max_deliver` of an event that no worker died of."""
    letter = choice.choice(run[2])
    return _planted(run[1], [each | {"reason": "max_deliver"} if each is letter else each for each in run[2]], "reason", letter["event_id"])


def given_up(run: Run, choice: random.Random) -> Planted:
    """A dead letter of an event that a retry would have mended."""
    at = _done(run, choice)
    letter = {"event_id": at.key, "reason": "attempts_exhausted", "error": "HTTP 500"}
    return _planted([arrival for arrival in run[1] if arrival is not at], [*run[2], letter], "unexplained", at.key)


def stranger(run: Run, choice: random.Random) -> Planted:
    """A request about no event."""
    at = _done(run, choice)
    return _planted([*run[1], replace(at, key="nobody's", body='{"n": 999999999}', seen=False)], run[2], "foreign", "nobody's")


# Every fault that the judge must find.
FAULTS: dict[str, Callable[[Run, random.Random], Planted]] = {
    "an event lost": lost,
    "an event acknowledged that was refused": untold,
    "an event done twice": doubled,
    "a repeat's key changed": rekeyed,
    "a body altered": altered,
    "a signature of another moment": missigned,
    "two events of one order swapped": swapped,
    "a dead letter missing": without_letter,
    "a dead letter doubled": second_letter,
    "a dead letter's reason wrong": wrong_reason,
    "a dead letter too early": given_up,
    "a request about nothing": stranger,
}


def require_found(planted: Planted, judge: Judge, orders: list[Order]) -> None:
    """Fails unless the judge names the fault, and nothing that it did not touch."""
    found = [(difference.kind, difference.id) for difference in judge.judge(orders, planted.arrivals, planted.dead).differences]
    assert planted.named in found, f"planted {planted.named}, found {found}"
    strangers = [difference for difference in found if difference[1] not in planted.touched]
    assert not strangers, f"planted {planted.named}, found besides {strangers}"
