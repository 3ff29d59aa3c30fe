"""A stream in which somebody else published too, against truth: strays are exactly those of the publisher's record, and what was stored late
is exactly what a HOLE marker before it names. All else is the comparison's. Pure."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from compare import Chain, Comparison, Difference, compare, members
from oracles.expected import Expected
from stream import Event
from strays import Stray

_LATE = re.compile(r"[^.]+\.[^.]+\.[^.]+\.[^.]+\.[^.]+\.[^.]+\.late\.(.+)")


def late_original(event: Event) -> str | None:
    """The id under which the message should have been stored in its place; None when it is no late one."""
    found = _LATE.fullmatch(event.id or "")
    return found and found[1]


def is_hole_marker(event: Event) -> bool:
    """Whether it stands where the program puts its markers, by the program's own hand."""
    return event.stray is None and event.subject.endswith("._slotstream.HOLE")


def missing_ids(marker: Event) -> list[str]:
    """The ids that a HOLE marker names."""
    return marker.json["hole"]["missing"]


@dataclass
class Sorted:
    """The stored messages by what they are. `mended`: markers of either kind and whatever is late; `announced`: what markers name;
    `late`: by the id of the event."""

    ours: list[Event] = field(default_factory=list)
    strays: list[Event] = field(default_factory=list)
    mended: list[Event] = field(default_factory=list)
    announced: list[str] = field(default_factory=list)
    late: dict[str, Event] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    def in_order(self, truth: list[Expected]) -> list[Event]:
        """The events as they were committed, the late ones in the place that should have been theirs."""
        stored = {event.id: event for event in self.ours} | self.late
        return [stored[item.id] for item in truth if item.id in stored]


def sort_out(stored: Iterable[Event], published: list[Stray]) -> Sorted:
    """Tells strays by the record of who published them, and late events by the markers before them; what is not as it must be is a
    difference: `foreign` a stray that is not in the record, or what is late unannounced · `altered` a stray that is not as recorded ·
    `doubled` a stray or late event stored twice · `missing` a stray that was acknowledged · `unchained` a marker or late event."""
    found = Sorted()
    record = {stray.number: stray for stray in published}
    seen: set[int] = set()
    for event in stored:
        if event.stray is not None:
            found.strays.append(event)
            found.differences += _judge_stray(event, record.get(event.stray), event.stray in seen)
            seen.add(event.stray)
        elif is_hole_marker(event):
            found.mended.append(event)
            found.announced += [name for name in missing_ids(event) if name not in found.announced]
        elif event.subject.endswith("._slotstream.GAP"):
            found.mended.append(event)
        elif original := late_original(event):
            found.mended.append(event)
            if original not in found.announced:
                found.differences.append(Difference("foreign", event.id, event.sequence, "late, and no marker before it names it"))
            elif original in found.late:
                found.differences.append(Difference("doubled", original, event.sequence, "late"))
            else:
                found.late[original] = event
        else:
            found.ours.append(event)
    chain = Chain(found.differences, sorted(event.sequence for event in (*found.strays, *found.ours)))
    for event in found.mended:
        chain.follow(event)
    found.differences += [Difference("missing", f"stray {stray.number}", stray.sequence, f"{stray.kind}, acknowledged")
                          for stray in published if stray.sequence is not None and stray.number not in seen]
    return found


def _judge_stray(event: Event, stray: Stray | None, is_again: bool) -> list[Difference]:
    name = f"stray {event.stray}"
    if stray is None:
        return [Difference("foreign", name, event.sequence, "is not in the publisher's record")]
    if is_again:
        return [Difference("doubled", name, event.sequence)]
    wrong = [what for what, stored, recorded in
             (("subject", event.subject, stray.subject), ("id", event.id, stray.id), ("body", event.body, stray.body),
              ("sequence", event.sequence, stray.sequence if stray.is_answered else event.sequence))
             if stored != recorded]
    return [Difference("altered", name, event.sequence, ", ".join(wrong))] if wrong else []


def compare_strayed(found: Sorted, truth: list[Expected]) -> Comparison:
    """The comparison of what is ours; what is late counts where it was committed."""
    late = {item.id: item for item in truth if item.id in found.late}
    between = sorted(event.sequence for event in (*found.strays, *found.mended))
    result = compare(found.ours, (item for item in truth if item.id not in late), between)
    result.differences[:0] = found.differences
    for original, event in found.late.items():
        if original in late:
            result.compared += 1
            result.differences += _compare_late(event, original, late[original])
        else:
            result.differences.append(Difference("foreign", event.id, event.sequence, "late, and nothing like it was committed"))
    stored = {event.id for event in found.ours}
    result.differences += [Difference("foreign", name, None, "a marker says that it was missing")
                           for name in found.announced if name in stored and name not in late]
    stored |= found.late.keys()
    result.transactions = len({item.id.rpartition(".")[0] for item in truth if item.id in stored})
    return result


def _compare_late(event: Event, original: str, expected: Expected) -> list[Difference]:
    """Subject and body as ever, the event's id included, with `late` besides; only the message's id is another."""
    must_be = expected.members | {"late": json.dumps({"id": original}, separators=(",", ":"))}
    written = members(event.body)
    wrong = sorted(name for name in written.keys() | must_be.keys() if written.get(name) != must_be.get(name))
    if event.subject != expected.subject:
        wrong.append("subject")
    return [Difference("altered", original, event.sequence, f"late: {', '.join(wrong)}")] if wrong else []
