"""A stream with a backfill, written by hand step by step, and faults planted in it: as a program at fault would have written it, with ids, counts,
digests and chain that are right again, so that only the fault is wrong; or by somebody's hand afterwards."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from compare import members
from faults import chained
from oracles.backfilled import FNV1A_BEGIN, fnv1a
from oracles.changes import lsn_text
from oracles.expected import entity_type
from stream import Event

SYSTEM = "7439120938471029384.5.1"
_PREFIX = "fraiseql.mutation"
_TIME = "2026-11-28T07:09:12.123456+00:00"


@dataclass(frozen=True)
class Step:
    """A message before it has its place. `kind`: `live`, `read`, or a marker's event. `lsn`: its transaction's commit, or where its chunk was
    read; `last`: of its transaction; `ctid`: where the walk stands behind it."""

    kind: str
    table: str = ""
    operation: str = "READ"
    entity: str | None = None
    before: str | None = None
    unchanged: tuple[str, ...] = ()
    lsn: int = 0
    last: bool = True
    ctid: tuple[int, int] = (0, 0)
    oid: int = 0
    number: int = 1
    # What a marker says besides, in place of what is counted.
    said: dict = field(default_factory=dict)


def row(**columns) -> str:
    """A row's text as `to_json` writes it."""
    return json.dumps(columns, separators=(",", ":"), ensure_ascii=False)


def written(steps: list[Step], run: int = 1, tables: tuple[str, ...] = ("public.tb_order", "public.tb_tag")) -> list[Event]:
    """The messages that a program stores which takes these steps."""
    events: list[Event] = []
    position, count = f"{SYSTEM}.700.{0x100:016X}.1", 0
    ordinal, before_lsn = 0, 0
    passes: dict[int, list] = {}
    total = 0
    for step in steps:
        if step.kind == "live":
            ordinal = ordinal + 1 if step.lsn == before_lsn else 1
            before_lsn = step.lsn
            position = f"{SYSTEM}.{step.lsn}.{step.lsn:016X}.{ordinal}"
            events.append(_live(step, position, ordinal))
            continue
        count += 1
        oid = step.oid
        identity = f"{position}.b.{run}.{count}.{oid}.{7000 + step.number if oid else 0}.{step.ctid[0]}.{step.ctid[1]}"
        if step.kind == "read":
            walk = passes.setdefault(oid, [0, FNV1A_BEGIN])
            walk[0] += 1
            walk[1] = fnv1a(walk[1], identity)
            events.append(_read(step, identity, run))
            continue
        told: dict = {"id": str(run), "event": step.kind}
        if step.kind == "begin":
            told["tables"] = list(tables)
        elif step.kind in ("whole", "restart", "table"):
            told |= {"table": step.table, "oid": oid, "pass": step.number}
            if step.kind == "table":
                rows, digest = passes.get(oid, [0, FNV1A_BEGIN])
                told |= {"rows": rows, "digest": f"{digest:016x}"}
                total += rows
            else:
                passes[oid] = [0, FNV1A_BEGIN]
                told |= {"why": "columns changed"} if step.kind == "restart" else {}
        elif step.kind == "end":
            told["rows"] = total
        events.append(_event(f"{_PREFIX}._slotstream.BACKFILL", identity, {
            "id": identity, "operation": "BACKFILL", "timestamp": _TIME, "backfill": told | step.said}))
    return chained(events)


def _event(subject: str, identity: str, body: dict) -> Event:
    return Event(0, subject, identity, 0, row(**body).encode())


def _body(step: Step, identity: str, **more: str) -> bytes:
    schema, name = step.table.split(".")
    parts = {"id": json.dumps(identity), "entity_type": json.dumps(entity_type(name)), "operation": json.dumps(step.operation)}
    if step.entity is not None:
        told = json.loads(step.entity)
        if "id" in told:
            parts["entity_id"] = json.dumps(str(told["id"]))
    parts["timestamp"] = json.dumps(_TIME)
    if step.entity is not None:
        parts["entity"] = step.entity
    if step.before is not None:
        parts["before"] = step.before
    if step.unchanged:
        parts["unchanged"] = row(x=step.unchanged)[len('{"x":'):-1]
    parts |= more | {"source": row(database="shop", schema=schema, table=name)}
    return ("{" + ",".join(f'"{name}":{value}' for name, value in parts.items()) + "}").encode()


def _live(step: Step, identity: str, ordinal: int) -> Event:
    body = _body(step, identity, transaction=row(id=step.lsn, lsn=lsn_text(step.lsn), ordinal=ordinal, last=step.last))
    return Event(0, f"{_PREFIX}.{entity_type(step.table.split('.')[1])}.{step.operation}", identity, 0, body)


def _read(step: Step, identity: str, run: int) -> Event:
    body = _body(step, identity, backfill=row(id=str(run), lsn=lsn_text(step.lsn)))
    return Event(0, f"{_PREFIX}.{entity_type(step.table.split('.')[1])}.{step.operation}", identity, 0, body)


# Faults of a program. Each takes the steps of a good stream and gives those of a bad one, and the kinds of difference of which one must be found.

Found = tuple[list[Step], set[str]]


def _plain_reads(steps: list[Step]) -> list[int]:
    """Where rows are read that no event is about, and that are not read again."""
    told_of = Counter((step.table, _key(text)) for step in steps for text in (step.before, step.entity) if text)
    return [at for at, step in enumerate(steps) if step.kind == "read" and told_of[step.table, _key(step.entity)] == 1]


def _key(entity: str) -> str:
    told = json.loads(entity)
    return str(told.get("id", told))


def skipped(steps: list[Step], choice: random.Random) -> Found:
    """A row is not read."""
    at = choice.choice(_plain_reads(steps))
    return steps[:at] + steps[at + 1:], {"missing"}


def doubled(steps: list[Step], choice: random.Random) -> Found:
    """The walk reads a row again, further on."""
    at = choice.choice([at for at in _plain_reads(steps) if steps[at].table != "public.tb_tag"])
    again = next(place for place in range(at, len(steps)) if steps[place].kind == "table" and steps[place].oid == steps[at].oid)
    return steps[:again] + [replace(steps[at], ctid=(900, 1))] + steps[again:], {"doubled"}


def doubled_at_once(steps: list[Step], choice: random.Random) -> Found:
    """The same message once more, the walk where it was."""
    at = choice.choice(_plain_reads(steps))
    return steps[:at] + [steps[at]] + steps[at:], {"doubled"}


def stale(steps: list[Step], choice: random.Random) -> Found:
    """A row is read as it was before an event that is stored already."""
    at = choice.choice([at for at, step in enumerate(steps) if step.kind == "live" and step.operation == "UPDATE" and not step.before
                        and not step.unchanged and _is_last_of(steps, at) and any(later.kind == "read" for later in steps[at:])])
    place = next(place for place in range(at, len(steps)) if steps[place].kind == "read" and steps[place].oid)
    old = json.loads(steps[at].entity) | {"note": "as it was"}
    return steps[:place] + [replace(steps[place], table=steps[at].table, entity=row(**old), oid=16384, ctid=_between(steps, place))] + steps[place:], {"altered"}


def deleted_comes_back(steps: list[Step], choice: random.Random) -> Found:
    """A row is read whose DELETE is stored already."""
    at = choice.choice([at for at, step in enumerate(steps) if step.kind == "live" and step.operation == "DELETE" and step.table == "public.tb_order"])
    place = next(place for place in range(at, len(steps)) if steps[place].kind == "read" and steps[place].oid == 16384)
    old = json.loads(steps[at].entity) | {"note": "as it was", "big": None}
    return steps[:place] + [replace(steps[place], entity=row(**old), ctid=_between(steps, place))] + steps[place:], {"foreign"}


def altered(steps: list[Step], choice: random.Random) -> Found:
    """A value is not the row's."""
    at = choice.choice(_plain_reads(steps))
    wrong = json.loads(steps[at].entity) | {"note": "another"}
    return steps[:at] + [replace(steps[at], entity=row(**wrong))] + steps[at + 1:], {"altered", "missing"}


def toast_lost(steps: list[Step], choice: random.Random) -> Found:
    """A row of which an event was in part is not read again."""
    partial = {(step.table, _key(step.entity)) for step in steps if step.unchanged}
    return [step for step in steps if step.kind != "read" or (step.table, _key(step.entity)) not in partial], {"unknown"}


def too_early(steps: list[Step], choice: random.Random) -> Found:
    """Rows of a chunk are stored before an event that its snapshot held: it overwrites them."""
    places = [at for at, step in enumerate(steps) if step.kind == "read" and at and steps[at - 1].kind == "live"
              and (steps[at - 1].table, _key(steps[at - 1].entity or "{}")) != (step.table, _key(step.entity))]
    at = choice.choice(places)
    moved = list(steps)
    moved[at - 1], moved[at] = moved[at], moved[at - 1]
    return moved, {"misplaced"}


def inside(steps: list[Step], choice: random.Random) -> Found:
    """A row stands between two events of a transaction."""
    at = choice.choice([at for at, step in enumerate(steps) if step.kind == "live" and not step.last])
    place = next(place for place in range(at, len(steps)) if steps[place].kind == "read")
    return steps[:at + 1] + [steps[place]] + steps[at + 1:place] + steps[place + 1:], {"misplaced"}


def backwards(steps: list[Step], choice: random.Random) -> Found:
    """The walk sends two rows the wrong way round."""
    at = choice.choice([at for at, (one, other) in enumerate(pairwise(steps)) if one.kind == other.kind == "read" and one.oid == other.oid
                        and other.ctid > one.ctid])
    return steps[:at] + [steps[at + 1], steps[at]] + steps[at + 2:], {"unordered"}


def keyless_kept(steps: list[Step], choice: random.Random) -> Found:
    """A table without a key is read whole a second time, and nobody says that the first is void."""
    begin = next(at for at, step in enumerate(steps) if step.kind == "whole")
    end = next(at for at, step in enumerate(steps) if step.kind == "table" and step.table == "public.tb_tag")
    again = [replace(step, ctid=(step.ctid[0] + 500, step.ctid[1])) for step in steps[begin + 1:end] if step.kind == "read"]
    return steps[:end] + again + steps[end:], {"foreign"}


def restarted_silently(steps: list[Step], choice: random.Random) -> Found:
    """A table begins anew without a marker."""
    return [step for step in steps if step.kind != "restart"], {"unordered"}


def no_marker(steps: list[Step], choice: random.Random) -> Found:
    """A table's end is not told."""
    at = choice.choice([at for at, step in enumerate(steps) if step.kind == "table"])
    return steps[:at] + steps[at + 1:], {"marker"}


def told_twice(steps: list[Step], choice: random.Random) -> Found:
    """A table's end is told a second time."""
    at = choice.choice([at for at, step in enumerate(steps) if step.kind == "table"])
    return steps[:at] + [steps[at]] + steps[at:], {"marker"}


def goes_on(steps: list[Step], choice: random.Random) -> Found:
    """A row comes behind its table's marker."""
    at = choice.choice([at for at, step in enumerate(steps) if step.kind == "table"])
    last = max(place for place in range(at) if steps[place].kind == "read" and steps[place].oid == steps[at].oid)
    return steps[:last] + steps[last + 1:at + 1] + [steps[last]] + steps[at + 1:], {"marker"}


def no_end(steps: list[Step], choice: random.Random) -> Found:
    """It begins once more without having ended."""
    return [step for step in steps if step.kind != "end"] + [Step("begin")], {"marker"}


def miscounted(steps: list[Step], choice: random.Random) -> Found:
    """A marker counts a row too many."""
    at = choice.choice([at for at, step in enumerate(steps) if step.kind in ("table", "end")])
    rows = next(event for place, event in enumerate(written(steps)) if place == at).json["backfill"]["rows"]
    return steps[:at] + [replace(steps[at], said={"rows": rows + 1})] + steps[at + 1:], {"digest"}


def digest_off(steps: list[Step], choice: random.Random) -> Found:
    """A marker's digest is of other ids."""
    at = choice.choice([at for at, step in enumerate(steps) if step.kind == "table"])
    return steps[:at] + [replace(steps[at], said={"digest": f"{choice.getrandbits(64):016x}"})] + steps[at + 1:], {"digest"}


def _is_last_of(steps: list[Step], at: int) -> bool:
    """Whether no later event or row is about the same key."""
    key = steps[at].table, _key(steps[at].entity)
    return not any(step.entity and (step.table, _key(step.entity)) == key for step in steps[at + 1:])


def _between(steps: list[Step], place: int) -> tuple[int, int]:
    """A place of the walk's right before that of this step."""
    block, offset = steps[place].ctid
    return block, offset - 1


BY_A_PROGRAM: dict[str, Callable[[list[Step], random.Random], Found]] = {
    "a row skipped": skipped,
    "a row doubled": doubled,
    "a row doubled at once": doubled_at_once,
    "a row stale": stale,
    "a deleted row back": deleted_comes_back,
    "a value altered": altered,
    "a large value lost": toast_lost,
    "rows before what their snapshot held": too_early,
    "a row inside a transaction": inside,
    "rows the wrong way round": backwards,
    "a table without a key doubled": keyless_kept,
    "a table begun anew silently": restarted_silently,
    "a table's marker missing": no_marker,
    "a table's marker twice": told_twice,
    "a row behind its table's marker": goes_on,
    "no end": no_end,
    "a marker's count off by one": miscounted,
    "a digest off": digest_off,
}


# Faults of somebody's hand, in messages that are stored; of a real stream too.

def read_places(events: list[Event]) -> list[int]:
    """Where the rows of backfills are."""
    return [at for at, event in enumerate(events) if b'"backfill":' in event.body and not event.subject.endswith("._slotstream.BACKFILL")]


def _told_of(event: Event) -> set[tuple[str, str]]:
    """Which rows it is of; nothing of a table without a key."""
    body = event.json
    identities = {body.get("entity_id")} | ({str(body["before"].get("id"))} if "before" in body else set())
    return {(body["source"]["table"], identity) for identity in identities if identity}


def message_gone(events: list[Event], choice: random.Random) -> tuple[list[Event], set[str]]:
    """A row's message is not there."""
    at = choice.choice(read_places(events))
    return chained(events[:at] + events[at + 1:]), {"counted"}


def message_again(events: list[Event], choice: random.Random) -> tuple[list[Event], set[str]]:
    """A row's message is there again, further on."""
    at = choice.choice(read_places(events))
    again = choice.randrange(at + 1, len(events) + 1)
    return chained(events[:again] + [events[at]] + events[again:]), {"unordered"}


def byte_altered(events: list[Event], choice: random.Random) -> tuple[list[Event], set[str]]:
    """A digit or letter of a row's values is another; of a row of which nothing else is told, in a table that was never emptied."""
    told_of = Counter(told for event in events for told in _told_of(event))
    emptied = {event.json["source"]["table"] for event in events if event.subject.endswith(".TRUNCATE")}
    at = choice.choice([at for at in read_places(events) if [told_of[told] for told in _told_of(events[at])] == [1]
                        and events[at].json["source"]["table"] not in emptied])
    body = events[at].body
    begin = body.index(b'"entity":{') + 10
    places = [place for place in range(begin, begin + len(members(body)["entity"].encode()) - 2) if body[place:place + 1].isalnum() and body[place - 1:place] != b"\\"]
    place = choice.choice(places)
    other = bytes([body[place] ^ 1]) if bytes([body[place] ^ 1]).isalnum() else b"7"
    changed = replace(events[at], body=body[:place] + other + body[place + 1:])
    return chained(events[:at] + [changed] + events[at + 1:]), {"altered", "missing", "foreign", "unknown", "shaped", "doubled"}


def number_left_out(events: list[Event], choice: random.Random) -> tuple[list[Event], set[str]]:
    """From a row on, the run's numbers are one too high."""
    first = choice.choice(read_places(events))
    found = list(events)
    for at in range(first, len(events)):
        position, separator, rest = (events[at].id or "").partition(".b.")
        if separator:
            run, count, place = rest.split(".", 2)
            other = f"{position}.b.{run}.{int(count) + 1}.{place}"
            found[at] = replace(events[at], id=other, body=events[at].body.replace(events[at].id.encode(), other.encode()))
    return chained(found), {"counted"}


def renumbered(events: list[Event]) -> list[Event]:
    """The same messages as the program at fault would have written them: numbers, ids, and what markers tell of their rows, are right."""
    found: list[Event] = []
    count, total, passes = 0, 0, {}
    position = None
    for event in events:
        if ".b." not in (event.id or ""):
            found.append(event)
            position = event.id
            continue
        own, _, rest = event.id.partition(".b.")
        run, _, where = rest.split(".", 2)
        oid = where.split(".")[0]
        count += 1
        identity = f"{position or own}.b.{run}.{count}.{where}"
        body = event.body.replace(event.id.encode(), identity.encode())
        told = event.json["backfill"]
        if told.get("event") == "table":
            rows, digest = passes.get(oid, (0, FNV1A_BEGIN))
            total += rows
            body = body.replace(f'"rows":{told["rows"]}'.encode(), f'"rows":{rows}'.encode()).replace(told["digest"].encode(), f"{digest:016x}".encode())
        elif told.get("event") == "end":
            body = body.replace(f'"rows":{told["rows"]}'.encode(), f'"rows":{total}'.encode())
        elif told.get("event") in ("restart", "whole"):
            passes[oid] = (0, FNV1A_BEGIN)
        elif "event" not in told:
            rows, digest = passes.get(oid, (0, FNV1A_BEGIN))
            passes[oid] = rows + 1, fnv1a(digest, identity)
        found.append(replace(event, id=identity, body=body))
    return chained(found)


BY_HAND: dict[str, Callable[[list[Event], random.Random], tuple[list[Event], set[str]]]] = {
    "a message gone": message_gone,
    "a message again": message_again,
    "a byte altered": byte_altered,
    "a number left out": number_left_out,
}
