"""Transactions and their changes, whichever decoder told of them."""

from dataclasses import dataclass, field


class OracleError(Exception):
    """A decoder said something that we do not understand, or two decoders disagree."""


class Unchanged:
    """The type of `UNCHANGED`."""

    def __repr__(self) -> str:
        return "UNCHANGED"


# A TOASTed value that the statement did not touch: PostgreSQL does not send it.
UNCHANGED = Unchanged()


@dataclass(slots=True, frozen=True)
class Table:
    """A relation as pgoutput describes it. `identity` is pg_class.relreplident: d, n, f or i."""

    schema: str
    name: str
    identity: str
    columns: tuple[str, ...]
    types: tuple[int, ...]
    keys: tuple[bool, ...]


@dataclass(slots=True)
class Transaction:
    """A committed transaction. `time` is in microseconds since 2000-01-01 UTC; `end_lsn` and `count` are known when its
    last change has been read."""

    xid: int
    commit_lsn: int
    time: int
    end_lsn: int = 0
    count: int = 0


@dataclass(slots=True)
class Change:
    """One change: `new` and `old` are the columns' texts in the table's order, None for NULL (and, in `old` of a table
    whose identity is an index, for the columns outside it)."""

    transaction: Transaction
    ordinal: int
    operation: str
    table: Table
    new: tuple | None = None
    old: tuple | None = None
    flags: dict = field(default_factory=dict)


def lsn_text(lsn: int) -> str:
    """`16/B374D848`, as PostgreSQL prints it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_number(text: str) -> int:
    """The number of `16/B374D848`."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)
