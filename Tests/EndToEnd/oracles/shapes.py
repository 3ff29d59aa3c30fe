"""The published tables as a consumer has to know them, and what they hold, both from PostgreSQL itself."""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from .expected import entity_type

_ROWS_AT_A_TIME = 20_000


@dataclass(frozen=True)
class Shape:
    """A table under the name that its events carry. `key`: what its rows are told apart by, None without anything of that kind; `identity`:
    whose values are `entity_id`; `is_toastable`: an UPDATE may leave a value out; `rows_of`: SQL for what the publication lets through of it."""

    schema: str
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...] | None
    identity: tuple[str, ...]
    is_toastable: bool
    rows_of: str

    @property
    def qualified(self) -> str:
        """`schema.table`, as the markers write it."""
        return f"{self.schema}.{self.name}"

    @property
    def entity(self) -> str:
        """`OrderLine` of `tb_order_line`."""
        return entity_type(self.name)


_PUBLISHED = """
SELECT n.nspname::text, c.relname::text, c.oid::int8, c.relkind::text, c.relreplident::text, p.rowfilter,
    (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attname = ANY(p.attnames)
        AND (attgenerated = '' OR current_setting('server_version_num')::int >= 180000)),
    (SELECT bool_or(attstorage <> 'p') FROM pg_attribute WHERE attrelid = c.oid AND attname = ANY(p.attnames)),
    quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_publication_tables AS p JOIN pg_namespace AS n ON n.nspname = p.schemaname
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename
WHERE p.pubname = %s ORDER BY 1, 2
"""

# Of several the first: whichever it is, it tells rows apart.
_KEYS = """
SELECT array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey[0:i.indnkeyatts - 1])
WHERE i.indrelid = %s::int8::oid AND i.indisvalid AND CASE %s
    WHEN 'd' THEN i.indisprimary
    WHEN 'i' THEN i.indisreplident
    WHEN 'f' THEN i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
    ELSE false END
GROUP BY i.indexrelid HAVING bool_and(a.attnotnull) ORDER BY i.indexrelid
"""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def shapes(connection: psycopg.Connection, publication: str) -> list[Shape]:
    """What this publication publishes, as it is now."""
    found = []
    for schema, name, oid, kind, identity, condition, columns, is_large, quoted in connection.execute(_PUBLISHED, (publication,)).fetchall():
        keys = [names for names, in connection.execute(_KEYS, (oid, identity)).fetchall() if set(names) <= set(columns)]
        primary = [names for names, in connection.execute(_KEYS, (oid, "d")).fetchall()] or ([] if identity == "f" else keys)
        named = ("id",) if "id" in columns else tuple(primary[0]) if primary and set(primary[0]) <= set(columns) else ()
        # A partitioned table has no rows of its own; one that others inherit from has, and theirs are published under their names.
        whose = "" if kind == "p" else "ONLY "
        rows_of = f"SELECT {', '.join(map(_quoted, columns))} FROM {whose}{quoted}" + (f" WHERE {condition}" if condition else "")
        found.append(Shape(schema, name, tuple(columns), tuple(keys[0]) if keys else None, named, bool(is_large) and identity != "f", rows_of))
    return found


def rows(connection: psycopg.Connection, shape: Shape) -> Iterator[str]:
    """PostgreSQL's own `to_json` of each row."""
    with connection.transaction(), connection.cursor("rows") as cursor:
        cursor.itersize = _ROWS_AT_A_TIME
        cursor.execute(f"SELECT to_json(r)::text FROM ({shape.rows_of}) AS r")
        for row, in cursor:
            yield row
