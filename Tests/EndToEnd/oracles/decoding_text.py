"""What PostgreSQL's own `test_decoding` plugin says, parsed.

Its lsn column holds the *end* of the commit record in a COMMIT's row, the LSN of the first change in a BEGIN's
(logical.c: commit_cb_wrapper sets write_location to txn->end_lsn, begin_cb_wrapper to txn->first_lsn).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from .changes import UNCHANGED, Change, OracleError
from .spool import rows

QUERY = """
SELECT (lsn - '0/0')::bigint, xid::text::bigint, data
FROM pg_logical_slot_get_changes('{slot}', NULL, NULL,
    'include-xids', '1', 'skip-empty-xacts', '1', 'include-timestamp', '1')
"""

_COLUMN = re.compile(
    r' ("(?:[^"]|"")+"|[^\s\["]+)\[((?:[^\[\]]|\[\])+)\]:(\'(?:[^\']|\'\')*\'|unchanged-toast-datum|[^\s\']+)')
_LINE = re.compile(r"table (.+?): (INSERT|UPDATE|DELETE|TRUNCATE):", re.DOTALL)
_BOOLEAN = {"true": "t", "false": "f"}


def lines(path: Path, published: set[tuple[str, str]]) -> Iterator[tuple[int, int, str]]:
    """(lsn, xid, text) of a spooled answer to `QUERY`, in order, as far as it is about the tables (schema, name) of a
    publication: test_decoding itself knows no publications. Logical messages are left out."""
    names = {f"{_quoted(schema)}.{_quoted(name)}" for schema, name in published}
    begin = None
    for lsn, xid, data in rows(path):
        line = int.from_bytes(lsn, "big"), int.from_bytes(xid, "big"), data.decode()
        if data.startswith(b"BEGIN "):
            begin = line
        elif data.startswith(b"COMMIT "):
            if begin is None:
                yield line
        else:
            found = _LINE.match(line[2])
            if found and names.intersection(found[1].split(", ")):
                if begin:
                    yield begin
                    begin = None
                yield line


def require_same(text: str, change: Change) -> None:
    """Fails unless this line of test_decoding's tells of `change`: table, operation and every value."""
    found = _LINE.match(text)
    if not found or found[2] != change.operation:
        raise OracleError(f"test_decoding says {text!r} where pgoutput says {change!r}")
    qualified = f"{_quoted(change.table.schema)}.{_quoted(change.table.name)}"
    rest = text[found.end():]
    if change.operation == "TRUNCATE":
        if qualified not in found[1].split(", "):
            raise OracleError(f"test_decoding says {text!r} where pgoutput says {change!r}")
        return
    if change.operation == "DELETE":
        old, new = rest, None
    elif rest.startswith(" old-key:"):
        old, new = _split_old(rest[len(" old-key:"):])
    else:
        old, new = None, rest
    same = found[1] == qualified and _tuple(new, change) == change.new and _tuple(old, change) == change.old
    if not same:
        raise OracleError(f"test_decoding says {text!r} where pgoutput says {change!r}")


def _split_old(rest: str) -> tuple[str, str]:
    """Cuts ` a[t]:1 new-tuple: b[t]:2` where the columns of the old tuple end."""
    at = 0
    while found := _COLUMN.match(rest, at):
        at = found.end()
    if not rest.startswith(" new-tuple:", at):
        raise OracleError(f"no new-tuple in {rest!r}")
    return rest[:at], rest[at + len(" new-tuple:"):]


def _tuple(text: str | None, change: Change) -> tuple | None:
    """The columns' texts in the table's order; test_decoding leaves NULLs out of old tuples."""
    if text is None or text == " (no-tuple-data)":
        return None
    values = {}
    at = 0
    while found := _COLUMN.match(text, at):
        name, kind, value = found.groups()
        if name[0] == '"':
            name = name[1:-1].replace('""', '"')
        if value[0] == "'":
            value = value[1:-1].replace("''", "'")
        elif value == "null":
            value = None
        elif value == "unchanged-toast-datum":
            value = UNCHANGED
        elif kind == "boolean":
            value = _BOOLEAN[value]
        values[name] = value
        at = found.end()
    if at != len(text):
        raise OracleError(f"not understood at {at}: {text!r}")
    return tuple(values.get(name) for name in change.table.columns)


def _quoted(name: str) -> str:
    """quote_identifier, without its list of reserved words: the tests' tables are named after none."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name)
    return name if plain else '"' + name.replace('"', '""') + '"'
