"""A reader of pgoutput, protocol version 1, written from PostgreSQL's documentation ("Logical Replication Message
Formats") and from nothing of ours.

On PostgreSQL 15 what it reads is checked against test_decoding, change by change; on 16 and 18, where the builds that we
have carry no test_decoding, it is what the stream is compared with.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from .changes import UNCHANGED, Change, OracleError, Table, Transaction
from .spool import rows

QUERY = """
SELECT data FROM pg_logical_slot_get_binary_changes('{slot}', NULL, NULL,
    'proto_version', '1', 'publication_names', '{publication}')
"""

_BEGIN = struct.Struct(">qqi")
_COMMIT = struct.Struct(">bqqq")


def changes(path: Path, seen: list[Transaction]) -> Iterator[Change]:
    """The changes in a spooled answer to `QUERY`, in order; appends each transaction to `seen` when it has ended."""
    tables: dict[int, Table] = {}
    transaction = None
    for (message,) in rows(path):
        kind = message[0]
        if kind == 0x42:  # B
            commit_lsn, time, xid = _BEGIN.unpack_from(message, 1)
            transaction = Transaction(xid & 0xFFFFFFFF, commit_lsn, time)
        elif kind == 0x43:  # C
            _, commit_lsn, end_lsn, time = _COMMIT.unpack_from(message, 1)
            if commit_lsn != transaction.commit_lsn or time != transaction.time:
                raise OracleError(f"Commit at {commit_lsn:X} of a transaction begun for {transaction.commit_lsn:X}")
            transaction.end_lsn = end_lsn
            seen.append(transaction)
            transaction = None
        elif kind == 0x52:  # R
            oid, table = _relation(message)
            tables[oid] = table
        elif kind in b"IUD":
            table = tables[int.from_bytes(message[1:5], "big")]
            transaction.count += 1
            yield _row(message, table, transaction)
        elif kind == 0x54:  # T
            count, flags = struct.unpack_from(">ib", message, 1)
            for oid in struct.unpack_from(f">{count}I", message, 6):
                transaction.count += 1
                yield Change(transaction, transaction.count, "TRUNCATE", tables[oid],
                             flags={"cascade": bool(flags & 1), "restart_identity": bool(flags & 2)})
        elif kind not in b"YOA":  # A: what PostgreSQL 18 says of transactions that it never sent
            raise OracleError(f"a message of kind {message[:1]!r}")


def _relation(message: bytes) -> tuple[int, Table]:
    """Shape: oid: Int32, namespace: String, name: String, identity: Int8, count: Int16, then a column: flags: Int8,
    name: String, type: Int32, modifier: Int32."""
    oid = int.from_bytes(message[1:5], "big")
    schema, name, rest = message[5:].split(b"\0", 2)
    identity, count = rest[:1].decode(), int.from_bytes(rest[1:3], "big")
    rest = rest[3:]
    columns, types, keys = [], [], []
    for _ in range(count):
        keys.append(bool(rest[0] & 1))
        column, rest = rest[1:].split(b"\0", 1)
        columns.append(column.decode())
        types.append(int.from_bytes(rest[:4], "big"))
        rest = rest[8:]
    schema = schema.decode() or "pg_catalog"
    return oid, Table(schema, name.decode(), identity, tuple(columns), tuple(types), tuple(keys))


def _row(message: bytes, table: Table, transaction: Transaction) -> Change:
    """Insert: 'N' tuple. Update: optionally 'K' or 'O' tuple, then 'N' tuple. Delete: 'K' or 'O' tuple."""
    old = new = None
    at = 5
    while at < len(message):
        kind = message[at]
        values, at = _tuple(message, at + 1)
        if kind == 0x4E:  # N
            new = values
        else:
            old = values
    operation = {0x49: "INSERT", 0x55: "UPDATE", 0x44: "DELETE"}[message[0]]
    return Change(transaction, transaction.count, operation, table, new, old)


def _tuple(message: bytes, at: int) -> tuple[tuple, int]:
    """Shape: count: Int16, then a column: kind: Byte1; for `t` also length: Int32 and that many bytes of text."""
    count = int.from_bytes(message[at:at + 2], "big")
    at += 2
    values = []
    for _ in range(count):
        kind = message[at]
        at += 1
        if kind == 0x74:  # t
            end = at + 4 + int.from_bytes(message[at:at + 4], "big")
            values.append(message[at + 4:end].decode())
            at = end
        elif kind == 0x6E:  # n
            values.append(None)
        elif kind == 0x75:  # u
            values.append(UNCHANGED)
        else:
            raise OracleError(f"a column of kind {kind}")
    return tuple(values), at
