"""The event that a change must become: contract.md once more, in another language and by another hand.

A type that is not listed here is an error, not a guess: add it with PostgreSQL's `to_json` as the judge
(test_oracles.py compares the two).
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from json.encoder import encode_basestring

import psycopg

from .changes import UNCHANGED, Change, OracleError, Table, Transaction, lsn_text

_EPOCH = datetime(2000, 1, 1)

# Makes JSON of a value's text.
Encoder = Callable[[str], str]


@dataclass(slots=True)
class Expected:
    """An event as it must be stored. `members` of the JSON are in the contract's order, rendered; `change` is its source."""

    id: str
    subject: str
    members: dict[str, str]
    change: Change

    @property
    def body(self) -> bytes:
        """The whole JSON object."""
        return ("{" + ",".join(f'"{name}":{value}' for name, value in self.members.items()) + "}").encode()


def events(changes: Iterator[Change], id_prefix: str, database: str = "shop", subject_prefix: str = "fraiseql.mutation",
           types: dict[int, Encoder] | None = None) -> Iterator[Expected]:
    """One event a change, in order. `id_prefix` is `<system identifier>.<database oid>.<timeline>`; `types`: those of the database's own
    (`users_types`)."""
    encoders = _ENCODERS | (types or {})
    plans: dict[Table, _Plan] = {}
    held = None
    for change in changes:
        if change.table not in plans:
            plans[change.table] = _Plan(change.table, encoders)
        if held is not None:
            yield _render(held, plans, id_prefix, database, subject_prefix, held.transaction is not change.transaction)
        held = change
    if held is not None:
        yield _render(held, plans, id_prefix, database, subject_prefix, True)


def entity_type(table: str) -> str:
    """`OrderLine` of `tb_order_line`."""
    name = table.removeprefix("tb_") or table
    return "".join(part[0].upper() + part[1:] for part in name.split("_") if part)


def token(value: str) -> str:
    """A subject token: bytes outside `A-Z a-z 0-9 _ -` as %XX."""
    return re.sub(rb"[^A-Za-z0-9_-]", lambda byte: b"%%%02X" % byte[0][0], value.encode()).decode()


class _Plan:
    """What is the same for all rows of a table."""

    def __init__(self, table: Table, encoders: dict[int, Encoder]):
        self.table = table
        self.entity = entity_type(table.name)
        self.names = [encode_basestring(column) for column in table.columns]
        self.encoders = [_encoder(oid, encoders) for oid in table.types]
        self.id_column = table.columns.index("id") if "id" in table.columns else None
        self.full = table.identity == "f"

    def row(self, values: tuple, only_keys: bool = False) -> str:
        """to_json of the row, without the columns that PostgreSQL did not send."""
        parts = []
        for name, encode, value, key in zip(self.names, self.encoders, values, self.table.keys):
            if value is UNCHANGED or (only_keys and not key):
                continue
            parts.append(f"{name}:{'null' if value is None else encode(value)}")
        return "{" + ",".join(parts) + "}"


def _render(change: Change, plans: dict, id_prefix: str, database: str, subject_prefix: str, last: bool) -> Expected:
    table, transaction = change.table, change.transaction
    plan = plans[table]
    identity = f"{id_prefix}.{transaction.xid}.{transaction.commit_lsn:016X}.{change.ordinal}"
    new, old = change.new, change.old
    members = {"id": f'"{identity}"', "entity_type": encode_basestring(plan.entity), "operation": f'"{change.operation}"'}
    if new is not None and old is not None and plan.full:
        # With the whole old row at hand, what was not sent anew is known.
        new = tuple(before if after is UNCHANGED else after for after, before in zip(new, old))
    if change.operation != "TRUNCATE" and plan.id_column is not None:
        row = new if new is not None else old
        members["entity_id"] = encode_basestring(row[plan.id_column])
    members["timestamp"] = f'"{timestamp(transaction)}"'
    if new is not None:
        members["entity"] = plan.row(new)
        if old is not None:
            members["before"] = plan.row(old, only_keys=not plan.full)
            members["changes"] = _differences(plan, old, new)
        absent = [name for name, value in zip(plan.names, new) if value is UNCHANGED]
        if absent:
            members["unchanged"] = "[" + ",".join(absent) + "]"
    elif old is not None:
        members["entity"] = plan.row(old, only_keys=not plan.full)
    else:
        members["truncate"] = json.dumps(change.flags, separators=(",", ":"))
    members["transaction"] = (f'{{"id":{transaction.xid},"lsn":"{lsn_text(transaction.commit_lsn)}",'
                              f'"ordinal":{change.ordinal},"last":{"true" if last else "false"}}}')
    members["source"] = (f'{{"database":{encode_basestring(database)},"schema":{encode_basestring(table.schema)},'
                         f'"table":{encode_basestring(table.name)}}}')
    return Expected(identity, f"{subject_prefix}.{token(plan.entity)}.{change.operation}", members, change)


def _differences(plan: _Plan, old: tuple, new: tuple) -> str:
    """`changes`: every column of `before` whose text differs from the new row's."""
    parts = []
    for name, encode, before, after, key in zip(plan.names, plan.encoders, old, new, plan.table.keys):
        if (plan.full or key) and before != after and after is not UNCHANGED:
            was = "null" if before is None else encode(before)
            now = "null" if after is None else encode(after)
            parts.append(f'{name}:{{"old":{was},"new":{now}}}')
    return "{" + ",".join(parts) + "}"


def timestamp(transaction: Transaction) -> str:
    """Commit time, six decimals, `+00:00`."""
    return (_EPOCH + timedelta(microseconds=transaction.time)).isoformat(timespec="microseconds") + "+00:00"


def _number(text: str) -> str:
    """NaN and the infinities are text."""
    return f'"{text}"' if text[-1] in "Ny" else text


def _instant(text: str) -> str:
    """`2026-11-23 07:09:12.5+00` with a T, and minutes in the offset. Infinity stays."""
    if text.endswith("infinity"):
        return f'"{text}"'
    if text[-3] in "+-":
        text += ":00"
    return f'"{text.replace(" ", "T", 1)}"'


def _array(encode: Encoder) -> Encoder:
    """Encodes `{a,"b c",NULL}` (one dimension)."""
    element = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,]+)', re.DOTALL)

    def encode_array(text: str) -> str:
        if text[0] != "{" or text[1:2] == "{":
            raise OracleError(f"not an array of one dimension: {text!r}")
        parts = []
        for quoted, plain in element.findall(text[1:-1]):
            if plain == "NULL":
                parts.append("null")
            else:
                parts.append(encode(plain or re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)))
        return "[" + ",".join(parts) + "]"

    return encode_array


def _boolean(text: str) -> str:
    return "true" if text == "t" else "false"


# By type oid (pg_type.dat).
_ENCODERS: dict[int, Encoder] = {
    16: _boolean, 1000: _array(_boolean),
    20: _number, 21: _number, 23: _number, 700: _number, 701: _number, 1700: _number,
    1016: _array(_number), 1007: _array(_number), 1231: _array(_number),
    25: encode_basestring, 1043: encode_basestring, 1042: encode_basestring, 17: encode_basestring,
    2950: encode_basestring, 1082: encode_basestring, 1083: encode_basestring, 1186: encode_basestring,
    1009: _array(encode_basestring), 1015: _array(encode_basestring), 2951: _array(encode_basestring),
    114: str, 3802: str,
    1114: _instant, 1184: _instant,
}


def _encoder(oid: int, encoders: dict[int, Encoder]) -> Encoder:
    try:
        return encoders[oid]
    except KeyError:
        raise OracleError(f"no rendering for type oid {oid}") from None


_USERS_TYPES = """
SELECT t.oid, t.typtype, t.typbasetype, t.typelem, t.typcategory = 'A',
    (SELECT array_agg(a.attname::text ORDER BY attnum) FROM pg_attribute AS a WHERE a.attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped),
    (SELECT array_agg(a.atttypid ORDER BY attnum) FROM pg_attribute AS a WHERE a.attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped)
FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE n.nspname = 'public'
"""


def users_types(connection: psycopg.Connection) -> dict[int, Encoder]:
    """Enums, domains, composites (rows of tables too) and arrays of them, as far as what they are made of is known."""
    found = dict(_ENCODERS)
    left = connection.execute(_USERS_TYPES).fetchall()
    while left:
        later = []
        for row in left:
            oid, kind, base, element, is_array, names, types = row
            if kind == "e":
                found[oid] = encode_basestring
            elif kind == "d" and base in found:
                found[oid] = found[base]
            elif is_array and element in found:
                found[oid] = _array(found[element])
            elif kind == "c" and types and all(part in found for part in types):
                found[oid] = _composite(names, [found[part] for part in types])
            else:
                later.append(row)
        if len(later) == len(left):
            break
        left = later
    return found


_FIELD = re.compile(r'(?:"((?:[^"\\]|\\.|"")*)"|([^,()"\\]*))([,)])', re.DOTALL)


def _composite(names: list[str], encoders: list[Encoder]) -> Encoder:
    """Encodes `(1,"a b",)`: a quote within quotes is doubled, an empty field without quotes is NULL."""

    def encode(text: str) -> str:
        parts, at = [], 1
        for name, encoder in zip(names, encoders):
            field = _FIELD.match(text, at)
            if not field:
                raise OracleError(f"not a record of {len(names)} fields: {text!r}")
            quoted, plain, end = field.groups()
            value = plain if quoted is None else re.sub(r'\\(.)|"(")', r"\1\2", quoted, flags=re.DOTALL)
            parts.append(f"{encode_basestring(name)}:{'null' if quoted is None and not plain else encoder(value)}")
            at = field.end()
        if at != len(text) or end != ")":
            raise OracleError(f"not a record of {len(names)} fields: {text!r}")
        return "{" + ",".join(parts) + "}"

    return encode
