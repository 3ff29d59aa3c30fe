"""The judge of an observer worker: what was published, what a receiver saw and which dead letters there are, side by side."""

from collections import Counter
from dataclasses import dataclass

from answers import Plan
from hooks import Arrival, signature_fault
from orders import Order

# What an event that is not done may have died of, by what the receiver did to it.
_REASON = {"permanent": "permanent", "exhausted": "attempts_exhausted"}


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it must be, at the event of this id.

    `lost`: nobody was told that it is done, and there is no dead letter; `unexplained`: a dead letter of an event that should have been done;
    `reason`: one with another reason than the receiver's answers give; `dead twice`, `dead and done`; `doubled`: the receiver did it twice;
    `foreign`: an arrival of no event; `key`: an arrival whose key is not the id of the event in it; `altered`: one with another body than the
    event's; `signature`; `reordered`: it came before an earlier event of its order was done."""

    kind: str
    id: str
    what: str = ""


@dataclass
class Outcome:
    """What was compared."""

    events: int
    arrivals: int
    repeats: int
    dead: Counter
    differences: list[Difference]

    def require_right(self) -> "Outcome":
        """Fails on any difference, and when nothing was compared."""
        kinds = Counter(difference.kind for difference in self.differences)
        assert not self.differences, f"{dict(kinds)}; the first: {self.differences[:5]}"
        assert self.events and self.arrivals, "nothing was compared"
        return self

    def __str__(self) -> str:
        dead = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dead.items())) or "none"
        return (f"{self.events} events, {self.arrivals} requests, {self.repeats} of them repeats; dead letters: {dead}; "
                f"{len(self.differences)} differences")


@dataclass(frozen=True)
class Judge:
    """Judges one observer with one webhook whose body is the event's row. `secret`: of its signatures. `is_ordered`: whether order within an
    order is promised. `crashes`: of how many of its dead letters at most the reason may be `max_deliver`."""

    plan: Plan
    secret: str | None = None
    is_ordered: bool = True
    crashes: int = 0

    def judge(self, orders: list[Order], arrivals: list[Arrival], dead: list[dict]) -> Outcome:
        """Compares."""
        differences = [*self._arrivals(orders, arrivals), *self._dead(orders, arrivals, dead)]
        if self.is_ordered:
            differences += _reordered(orders, arrivals, {letter["event_id"] for letter in dead})
        reasons = Counter(letter["reason"] for letter in dead)
        return Outcome(len(orders), len(arrivals), sum(arrival.attempt > 1 for arrival in arrivals), reasons, differences)

    def _arrivals(self, orders: list[Order], arrivals: list[Arrival]) -> list[Difference]:
        """Each by itself: whose it is, and what it says."""
        differences = []
        by_number = {order.number: order for order in orders}
        seen: set[str] = set()
        for arrival in arrivals:
            row = arrival.json
            order = by_number.get(row.get("n")) if isinstance(row, dict) else None
            if order is None:
                differences.append(Difference("foreign", arrival.key, arrival.body[:200]))
                continue
            if arrival.key != order.id:
                differences.append(Difference("key", order.id, arrival.key))
            if row != order.row:
                differences.append(Difference("altered", order.id, arrival.body[:200]))
            fault = signature_fault(arrival, self.secret) if self.secret else None
            if fault:
                differences.append(Difference("signature", order.id, fault))
            if arrival.seen:
                if order.id in seen:
                    differences.append(Difference("doubled", order.id))
                seen.add(order.id)
        return differences

    def _dead(self, orders: list[Order], arrivals: list[Arrival], dead: list[dict]) -> list[Difference]:
        """Each event: done or dead, and dead of what."""
        differences = []
        told = {arrival.key for arrival in arrivals if arrival.told}
        known = {order.id for order in orders}
        letters: dict[str, list[dict]] = {}
        crashed = 0
        for letter in dead:
            letters.setdefault(letter["event_id"], []).append(letter)
            if letter["event_id"] not in known:
                differences.append(Difference("foreign", letter["event_id"], "a dead letter"))
        for order in orders:
            of_it = letters.get(order.id, [])
            if not of_it:
                if order.id not in told:
                    differences.append(Difference("lost", order.id))
                continue
            if len(of_it) > 1:
                differences.append(Difference("dead twice", order.id))
            reason = of_it[0]["reason"]
            fate = self.plan.fate(order.id)
            if reason == "max_deliver" and crashed < self.crashes:
                crashed += 1
            elif fate == "done":
                differences.append(Difference("unexplained", order.id, f"{reason}: {of_it[0].get('error')}"))
            elif reason != _REASON[fate]:
                differences.append(Difference("reason", order.id, f"{reason} instead of {_REASON[fate]}"))
            if order.id in told and fate != "done":
                differences.append(Difference("dead and done", order.id))
        return differences


def _reordered(orders: list[Order], arrivals: list[Arrival], dead: set[str]) -> list[Difference]:
    """Events whose first request came before an earlier event of their order was done, dead ones aside."""
    first: dict[str, int] = {}
    done: dict[str, int] = {}
    for arrival in arrivals:
        first.setdefault(arrival.key, arrival.at)
        if arrival.seen:
            done.setdefault(arrival.key, arrival.at)
    differences = []
    # By order: when the last of its events so far was done.
    latest: dict[str, int] = {}
    for order in orders:
        came = first.get(order.id)
        if came is not None and came < latest.get(order.entity_id, 0):
            differences.append(Difference("reordered", order.id))
        if order.id in done and order.id not in dead:
            latest[order.entity_id] = max(latest.get(order.entity_id, 0), done[order.id])
    return differences
