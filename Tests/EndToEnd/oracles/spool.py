"""The rows of a query, kept in a file: read from the server once, walked through as often as wanted."""

import struct
from collections.abc import Iterator
from pathlib import Path

import psycopg

_HEADER_LENGTH = 19


def spool(connection: psycopg.Connection, query: str, path: Path) -> Path:
    """Writes the query's rows to `path` in PostgreSQL's binary COPY format."""
    with path.open("wb") as out, connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)") as copy:
        for block in copy:
            out.write(block)
    return path


def rows(path: Path) -> Iterator[tuple[bytes, ...]]:
    """The rows of a spooled file as tuples of raw fields; none of them may be NULL."""
    with path.open("rb", buffering=1 << 20) as file:
        file.read(_HEADER_LENGTH)
        while True:
            count = struct.unpack(">h", file.read(2))[0]
            if count < 0:
                return
            yield tuple(file.read(struct.unpack(">i", file.read(4))[0]) for _ in range(count))
