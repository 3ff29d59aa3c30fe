"""What a consumer makes of a stream with a backfill in it, by the promise alone: it applies events in stored order, a READ as "this is the row".
Then it has the tables. And whether each message of the backfill is what it says of itself.

Shares nothing with the program, and nothing with the comparison of the live part but how a difference is told.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from json import JSONDecodeError, JSONDecoder, loads
from json.encoder import encode_basestring

from compare import Chain, Comparison, Difference, members
from stream import Event

from .changes import lsn_number
from .expected import token
from .shapes import Shape

_ID = re.compile(r"(\d+\.\d+\.\d+\.\d+\.([0-9A-F]{16})\.(\d+))(?:\.b\.(\d+)\.(\d+)\.(\d+)\.(\d+)\.(\d+)\.(\d+))?")
_PASSED = re.compile(r"(\d+\.\d+\.\d+\.\d+\.[0-9A-F]{16}\.\d+)\.gap\.")
_decoder = JSONDecoder()
_SPACES = re.compile(r"[ \t\r\n]*")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
_MARKER = "._slotstream.BACKFILL"


@dataclass(frozen=True, slots=True)
class Place:
    """A message id, taken apart. `position`: that of the live event, or of the last one before a message of a backfill; `run` 0: it is live."""

    position: str
    commit_lsn: int
    ordinal: int
    run: int = 0
    count: int = 0
    oid: int = 0
    filenode: int = 0
    block: int = 0
    offset: int = 0

    @property
    def order(self) -> tuple[int, int, int, int]:
        """By what ids rise."""
        return self.commit_lsn, self.ordinal, self.run, self.count


def place(identity: str | None) -> Place | None:
    """None: an id of another kind, or of nobody's."""
    found = _ID.fullmatch(identity or "")
    if not found:
        return None
    position, commit_lsn, ordinal, *rest = found.groups()
    return Place(position, int(commit_lsn, 16), int(ordinal), *(int(part) for part in rest if part is not None))


def fnv1a(value: int, identity: str) -> int:
    """The digest goes on over one more id."""
    for byte in identity.encode() + b"\n":
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


FNV1A_BEGIN = 0xCBF29CE484222325


@dataclass
class _Pass:
    """A walk over one relation, from its beginning: what came of it."""

    # None: its marker does not say.
    number: int | None = 1
    filenode: int | None = None
    cursor: tuple[int, int] = (0, 0)
    rows: int = 0
    digest: int = FNV1A_BEGIN
    is_over: bool = False
    # Keys that it has sent.
    keys: set = field(default_factory=set)


@dataclass
class _Table:
    """What a consumer knows of a table. With a key: key → its row's text. Without: each row's text, as often as it is there."""

    shape: Shape
    rows: dict[tuple, str] = field(default_factory=dict)
    heap: Counter = field(default_factory=Counter)
    # Keys of which a live event came since the run began; and of which one ever came that was not whole: what is decoded once more after a
    # crash reaches back as far as PostgreSQL likes.
    touched: set = field(default_factory=set)
    partial: set = field(default_factory=set)
    # Keys of rows that came into the publication's filter when no run read the table, a large value untouched: PostgreSQL does not send it,
    # and nobody asks for it.
    unsent: set = field(default_factory=set)


@dataclass
class Run:
    """A run as its messages tell of it."""

    number: int
    tables: list[str]
    count: int = 1
    rows: int = 0
    passes: dict[int, _Pass] = field(default_factory=dict)
    # Of its `table` markers: (table, partition, oid).
    finished: list[tuple[str, str | None, int]] = field(default_factory=list)
    restarts: list[dict] = field(default_factory=list)
    end: str | None = None
    finished_rows: int = 0


class Backfilled:
    """Follows a stream from its first message on. `differences` says what is wrong:

    `missing` a row of the table that the stream does not give · `foreign` one that only the stream gives · `altered` another text ·
    `unknown` a column of it was in no event · `doubled` the walk sent a row again that nobody had written to · `unordered` ids that do not
    rise, a walk that goes back · `counted` a number of the run that is not the next · `misplaced` not between transactions, not behind the
    position in its id, or before something that its snapshot held · `marker` a marker that is not as it must be, or is not there · `digest`
    rows or digest in a marker · `shaped` a message that is not written as it must be · `unchained`.

    `has_lost_end`: JetStream once lost the stream's end: the numbers of what is gone are not given again, behind a marker that a run, or a
    table of it, begins anew.
    """

    def __init__(self, shapes: Iterable[Shape], prefix: str = "fraiseql.mutation", operation: str = "READ", has_lost_end: bool = False):
        self.differences: list[Difference] = []
        self.runs: list[Run] = []
        # The live part, for the comparison that judges it, and the sequences of what lies among it.
        self.live: list[Event] = []
        self.between: list[int] = []
        self.read = 0
        self._tables = {shape.qualified: _Table(shape) for shape in shapes}
        self._prefix = prefix
        self._operation = operation
        self._has_lost_end = has_lost_end
        self._last: tuple | None = None
        self._position: str | None = None
        self._is_inside = False
        self._held = 0
        self._is_apart = False

    def follow(self, stored: Iterable[Event], is_apart: bool = False, keeps_live: bool = True) -> "Backfilled":
        """Takes all messages of a stream. `is_apart`: it is one of the backfill's own, followed before the live one; positions in its ids
        are the live one's."""
        chain = Chain(self.differences)
        self._is_apart, self._last, self._position, self._is_inside, self._held = is_apart, None, None, False, 0
        for event in stored:
            if event.stray is not None:
                chain.pass_over(event.sequence)
                self.between.append(event.sequence)
                continue
            chain.follow(event)
            where = place(event.id)
            if where and where.run:
                self.between.append(event.sequence)
                self._take_backfilled(event, where)
            else:
                if keeps_live:
                    self.live.append(event)
                if where:
                    self._take_live(event, where)
                elif passed := _PASSED.match(event.id or ""):
                    # A marker in the place of an event, or of a gap.
                    self._position, self._is_inside = passed[1], False
        return self

    @property
    def open_run(self) -> Run | None:
        """The one that has begun and not ended."""
        return self.runs[-1] if self.runs and not self.runs[-1].end else None

    def _fault(self, kind: str, event: Event, detail: str) -> None:
        self.differences.append(Difference(kind, event.id or "", event.sequence, detail))

    def _rise(self, event: Event, where: Place) -> None:
        if self._last is not None and where.order <= self._last:
            self._fault("unordered", event, f"{where.order} behind {self._last}")
        self._last = max(self._last or where.order, where.order)

    # The live part

    def _take_live(self, event: Event, where: Place) -> None:
        self._rise(event, where)
        self._position = where.position
        if where.commit_lsn < self._held:
            self._fault("misplaced", event, f"a row that was read at {self._held:X} stands before it")
        said = members(event.body)
        self._is_inside = said.get("transaction", "").endswith('"last":false}')
        table = self._table_of(said)
        if table:
            self._apply(event, table, said)

    def _table_of(self, said: dict[str, str]) -> _Table | None:
        return self._tables.get(_source(said))

    def _apply(self, event: Event, table: _Table, said: dict[str, str]) -> None:
        operation = said["operation"].strip('"')
        if operation == "TRUNCATE":
            table.rows.clear()
            table.heap.clear()
            return
        row = said.get("entity")
        if table.shape.key is None:
            if operation in ("UPDATE", "DELETE"):
                gone = said.get("before") if operation == "UPDATE" else row
                # What is not known of came before the run.
                if gone and table.heap[gone] > 0:
                    table.heap[gone] -= 1
            if operation != "DELETE":
                table.heap[row] += 1
            return
        columns = columns_of(row)
        key = self._key(event, table, columns)
        if key is None:
            return
        table.touched.add(key)
        if operation == "DELETE":
            table.rows.pop(key, None)
            table.unsent.discard(key)
            return
        was = key
        if "before" in said:
            was = self._key(event, table, columns_of(said["before"])) or key
            table.touched.add(was)
        known = table.rows.pop(was, None)
        if was in table.unsent or (operation == "INSERT" and "unchanged" in said and not self._is_read_now(table)):
            table.unsent.discard(was)
            table.unsent.add(key)
        if "unchanged" in said:
            table.partial.add(key)
            if known is None:
                known = table.rows.get(key, "{}")
            row = _text(columns_of(known) | columns)
        table.rows[key] = row

    def _is_read_now(self, table: _Table) -> bool:
        run, name = self.open_run, table.shape.qualified
        return run is not None and name in run.tables and name not in [finished for finished, _, _ in run.finished]

    def _key(self, event: Event, table: _Table, columns: dict[str, str]) -> tuple | None:
        try:
            return tuple(columns[name] for name in table.shape.key)
        except KeyError as absent:
            self._fault("shaped", event, f"its key's {absent} is not there")
            return None

    # The backfill

    def _take_backfilled(self, event: Event, where: Place) -> None:
        self._rise(event, where)
        if not self._is_apart:
            if self._is_inside:
                self._fault("misplaced", event, "it stands inside a transaction")
            if self._position is None:
                self._position = where.position
            elif where.position != self._position:
                self._fault("misplaced", event, f"it stands behind {self._position}")
        said = members(event.body)
        if said.get("id") != f'"{event.id}"' or not _TIME.fullmatch(said.get("timestamp", "").strip('"')):
            self._fault("shaped", event, f"id {said.get('id')}, timestamp {said.get('timestamp')}")
        told = loads(said.get("backfill", "{}"))
        if told.get("id") != str(where.run):
            self._fault("shaped", event, f"backfill {told} of run {where.run}")
        run = self._run_of(event, where, told)
        if run is None:
            return
        if event.subject == self._prefix + _MARKER:
            self._take_marker(event, where, run, said, told)
        else:
            self._take_row(event, where, run, said, told)

    def _run_of(self, event: Event, where: Place, told: dict) -> Run | None:
        run = self.open_run
        is_anew = self._has_lost_end and run is not None and run.number == where.run and told.get("event") in ("begin", "restart")
        if is_anew:
            run.count = where.count
            if told["event"] == "begin":
                run.passes.clear()
            return run
        if told.get("event") == "begin":
            if run or (self.runs and self.runs[-1].number >= where.run) or where.count != 1:
                self._fault("marker", event, f"it begins behind run {self.runs[-1].number if self.runs else None}, as number {where.count}")
            self.runs.append(Run(where.run, told.get("tables") or []))
            for table in self._tables.values():
                table.touched.clear()
            return self.runs[-1]
        if run is None or run.number != where.run:
            self._fault("marker", event, f"it is of no run that has begun and not ended ({run.number if run else None})")
            return None
        if where.count != run.count + 1:
            self._fault("counted", event, f"number {where.count} behind {run.count}")
        run.count = max(where.count, run.count)
        return run

    def _take_row(self, event: Event, where: Place, run: Run, said: dict[str, str], told: dict) -> None:
        run.rows += 1
        self.read += 1
        table = self._table_of(said)
        if _source(said) not in run.tables:
            self._fault("shaped", event, f"of {said.get('source')}, which is none of the run's tables {run.tables}")
            return
        columns = columns_of(said.get("entity", ""))
        if table:
            self._require_shape(event, table, said, columns)
        self._held = max(self._held, lsn_number(told.get("lsn", "0/0")))
        walk = run.passes.setdefault(where.oid, _Pass())
        if walk.is_over:
            self._fault("marker", event, f"a row behind the marker that says that {where.oid} is read")
        walk.rows += 1
        walk.digest = fnv1a(walk.digest, event.id)
        if walk.filenode not in (None, where.filenode):
            self._fault("unordered", event, f"of file {where.filenode}, in a pass over {walk.filenode}")
        walk.filenode = where.filenode
        cursor = where.block, where.offset
        if cursor < walk.cursor:
            self._fault("unordered", event, f"the walk stands at {cursor} behind {walk.cursor}")
        has_moved, walk.cursor = cursor > walk.cursor, max(cursor, walk.cursor)
        if table is None:
            # One that is not compared.
            return
        if table.shape.key is None:
            if not has_moved:
                self._fault("doubled", event, f"the walk stands still at {cursor}")
            table.heap[said["entity"]] += 1
            return
        key = self._key(event, table, columns)
        if key is None:
            return
        if not self._is_apart:
            # What does not move the walk was read again for an event that was not whole; what comes twice was written to in between.
            if not has_moved and key not in table.partial:
                self._fault("doubled", event, f"{key} was read again, and no event of it was in part")
            elif key in walk.keys and key not in table.touched and key not in table.partial:
                self._fault("doubled", event, f"{key} came before, and nobody wrote to it")
        walk.keys.add(key)
        table.unsent.discard(key)
        table.rows[key] = said["entity"]

    def _require_shape(self, event: Event, table: _Table, said: dict[str, str], columns: dict[str, str]) -> None:
        shape = table.shape
        wrong = []
        if event.subject != f"{self._prefix}.{token(shape.entity)}.{self._operation}":
            wrong.append(f"subject {event.subject}")
        if said.get("entity_type") != f'"{shape.entity}"' or said.get("operation") != f'"{self._operation}"':
            wrong.append(f"{said.get('entity_type')} {said.get('operation')}")
        identity = _entity_id(shape, columns)
        if said.get("entity_id") != identity:
            wrong.append(f"entity_id {said.get('entity_id')}, must be {identity}")
        unwanted = said.keys() & {"transaction", "before", "changes", "unchanged", "truncate"}
        if unwanted or not columns:
            wrong.append(f"{sorted(unwanted)}, {len(columns)} columns")
        if "lsn" not in loads(said.get("backfill", "{}")):
            wrong.append("no backfill.lsn")
        if wrong:
            self._fault("shaped", event, "; ".join(wrong))

    def _take_marker(self, event: Event, where: Place, run: Run, said: dict[str, str], told: dict) -> None:
        kind = told.get("event")
        if said.get("operation") != '"BACKFILL"':
            self._fault("shaped", event, f"operation {said.get('operation')}")
        if kind in ("whole", "restart", "table") and (told.get("oid") != where.oid or told.get("table") not in run.tables):
            self._fault("marker", event, f"{told} with {where.oid} in its id, in a run of {run.tables}")
        if kind == "whole":
            table = self._tables.get(told.get("table"))
            if table and table.shape.key is not None:
                self._fault("marker", event, "whole: of a table with a key")
            elif table:
                table.heap.clear()
            run.passes[where.oid] = _Pass(told.get("pass"))
        elif kind == "restart":
            self._restart(event, where, run, told)
        elif kind == "table":
            self._finish(event, where, run, told)
        elif kind == "end":
            run.end = kind
            if told.get("rows") != run.finished_rows:
                self._fault("digest", event, f"{told.get('rows')} rows, {run.finished_rows} by the tables' markers")
            absent = set(run.tables) - {name for name, _, _ in run.finished}
            if absent:
                self._fault("marker", event, f"it ends without a marker of {sorted(absent)}")
            left = [oid for oid, walk in run.passes.items() if not walk.is_over and walk.rows]
            if left:
                self._fault("marker", event, f"it ends, and {left} has none that says how many rows came")
        elif kind == "cancelled":
            run.end = kind
            if not told.get("why"):
                self._fault("marker", event, "it does not say why")
        elif kind != "begin":
            self._fault("marker", event, f"event {kind!r}")

    def _restart(self, event: Event, where: Place, run: Run, told: dict) -> None:
        before = run.passes.get(where.oid)
        number = told.get("pass")
        if not isinstance(number, int) or (before and number <= (before.number or 0)) or not told.get("why"):
            self._fault("marker", event, f"{told} behind pass {before and before.number}")
        if before and before.is_over:
            self._fault("marker", event, f"{where.oid} begins anew, and was read")
        run.restarts.append(told)
        run.passes[where.oid] = _Pass(number)

    def _finish(self, event: Event, where: Place, run: Run, told: dict) -> None:
        walk = run.passes.setdefault(where.oid, _Pass())
        if walk.is_over:
            self._fault("marker", event, f"{where.oid} was read before")
        walk.is_over = True
        run.finished.append((told.get("table"), told.get("partition"), where.oid))
        run.finished_rows += walk.rows
        digest = f"{walk.digest:016x}"
        if (told.get("rows"), told.get("digest")) != (walk.rows, digest):
            self._fault("digest", event, f"{told.get('rows')} rows, digest {told.get('digest')}; {walk.rows} came, {digest}")
        if walk.number is not None and told.get("pass", 1) != walk.number:
            self._fault("marker", event, f"pass {told.get('pass')}, it is {walk.number}")
        walk.keys.clear()

    # The end

    def known(self, table: str) -> dict[tuple, str] | Counter:
        """What a consumer has of this table by now."""
        found = self._tables[table]
        return +found.heap if found.shape.key is None else found.rows

    def compare(self, tables: dict[str, Iterable[str]]) -> Comparison:
        """Against the rows of these tables (`schema.table`); everything that was found on the way is among the differences. What is known is
        used up."""
        result = Comparison(differences=list(self.differences))
        for name, rows in tables.items():
            table = self._tables[name]
            compare = _compare_heap if table.shape.key is None else _compare_rows
            result.compared += compare(table, rows, result.differences)
        return result


def _compare_rows(table: _Table, rows: Iterable[str], differences: list[Difference]) -> int:
    compared = 0
    shape = table.shape
    for row in rows:
        compared += 1
        columns = columns_of(row)
        key = tuple(columns[name] for name in shape.key)
        own = table.rows.pop(key, None)
        if own == row:
            continue
        name = f"{shape.qualified} {','.join(key)}"
        if own is None:
            differences.append(Difference("missing", name, None, row[:300]))
            continue
        told = columns_of(own)
        absent = [column for column in shape.columns if column not in told]
        if absent and key in table.unsent:
            told |= {column: columns[column] for column in absent}
            absent = []
        if absent:
            differences.append(Difference("unknown", name, None, f"of {absent} nothing is known"))
        # What a table had before it was changed is in older events too.
        elif _text({column: told[column] for column in shape.columns}) != row:
            wrong = [f"{column}: {told[column][:100]}, in the table {columns[column][:100]}" for column in shape.columns
                     if told[column] != columns[column]]
            differences.append(Difference("altered", name, None, "; ".join(wrong)))
    differences += [Difference("foreign", f"{shape.qualified} {','.join(key)}", None, row[:300]) for key, row in table.rows.items()]
    return compared


def _compare_heap(table: _Table, rows: Iterable[str], differences: list[Difference]) -> int:
    wanted = Counter(rows)
    for kind, left in (("missing", wanted - table.heap), ("foreign", table.heap - wanted)):
        differences += [Difference(kind, f"{table.shape.qualified}, {count} times", None, row[:300]) for row, count in left.items()]
    return wanted.total()


def _source(said: dict[str, str]) -> str:
    """`schema.table` of an event."""
    source = loads(said.get("source", "{}"))
    return f"{source.get('schema')}.{source.get('table')}"


def columns_of(row: str) -> dict[str, str]:
    """The columns of a row as they are written; a value of type json brings its own spaces. {}: it is no row."""
    found: dict[str, str] = {}
    at, end = 1, len(row)
    try:
        while at < end:
            name, at = _decoder.raw_decode(row, at)
            begin = at + 1
            _, at = _decoder.raw_decode(row, _SPACES.match(row, begin).end())
            at = _SPACES.match(row, at).end()
            if row[begin - 1] != ":" or row[at] not in ",}" or (row[at] == "}") != (at + 1 == end):
                return {}
            found[name] = row[begin:at]
            at += 1
    except (JSONDecodeError, IndexError):
        return {}
    return found


def _entity_id(shape: Shape, columns: dict[str, str]) -> str | None:
    """As it is written in an event; of values that are numbers or texts, which JSON and PostgreSQL write alike."""
    parts = []
    for name in shape.identity:
        value = columns.get(name, "null")
        if value == "null":
            return None
        text = loads(value) if value.startswith('"') else value
        parts.append(text if len(shape.identity) == 1 else text.replace("%", "%25").replace(",", "%2C"))
    return encode_basestring(",".join(parts)) if parts else None


def _text(columns: dict[str, str]) -> str:
    return "{" + ",".join(f"{encode_basestring(name)}:{value}" for name, value in columns.items()) + "}"


def backfills(stored: Iterable[Event]) -> Iterator[Event]:
    """Those of the messages that are a backfill's."""
    return (event for event in stored if (found := place(event.id)) and found.run)
