"""Tables of every kind that a backfill reads, full of rows, and eight writers who change them meanwhile: so many operations, then they end."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from servers.postgres import Postgres
from servers.tools import wait_until

WRITERS = 8

_TABLES = """
CREATE TYPE mood AS ENUM ('glad', 'so so', 'sad "x"');
CREATE TYPE pair AS (a INT, b TEXT);
CREATE DOMAIN price AS NUMERIC(12, 2) CHECK (VALUE >= 0);

CREATE TABLE tb_order (id BIGINT PRIMARY KEY, status TEXT, total NUMERIC(12, 2), at TIMESTAMPTZ, tags TEXT[], note TEXT);
CREATE INDEX ON tb_order (status);
CREATE TABLE tb_line (shop TEXT, id BIGINT, amount INT, note TEXT, PRIMARY KEY (shop, id));
CREATE TABLE tb_code (id TEXT PRIMARY KEY, amount INT, note TEXT);
CREATE TABLE tb_document (id BIGINT PRIMARY KEY, amount INT, note TEXT, big TEXT, extra JSONB);
ALTER TABLE tb_document ALTER big SET STORAGE EXTERNAL, ALTER extra SET STORAGE EXTERNAL;
CREATE TABLE tb_full (id BIGINT PRIMARY KEY, amount INT, note TEXT, big TEXT);
ALTER TABLE tb_full ALTER big SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;
CREATE TABLE tb_measure (id BIGINT, region INT, amount INT, note TEXT, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE tb_measure_0 PARTITION OF tb_measure FOR VALUES IN (0);
-- Its columns stand in another order, with one between them that is gone.
CREATE TABLE measured_once (note TEXT, gone INT, region INT NOT NULL, id BIGINT NOT NULL, amount INT);
ALTER TABLE measured_once DROP gone;
ALTER TABLE tb_measure ATTACH PARTITION measured_once FOR VALUES IN (1);
CREATE TABLE tb_measure_2 PARTITION OF tb_measure FOR VALUES IN (2) PARTITION BY RANGE (id);
CREATE TABLE tb_measure_2_all PARTITION OF tb_measure_2 DEFAULT;
CREATE TABLE part_event (id BIGINT, kind INT, amount INT, note TEXT, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE tb_event_a PARTITION OF part_event FOR VALUES IN (0);
CREATE TABLE tb_event_b PARTITION OF part_event FOR VALUES IN (1);
CREATE TABLE tb_parent (id BIGINT PRIMARY KEY, amount INT, note TEXT);
CREATE TABLE tb_child (own TEXT, PRIMARY KEY (id)) INHERITS (tb_parent);
CREATE TABLE tb_price (id BIGINT PRIMARY KEY, a INT, twice INT GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE tb_person (id BIGINT PRIMARY KEY, name TEXT, secret TEXT);
CREATE TABLE tb_ticket (id BIGINT, state TEXT, amount INT, big TEXT, PRIMARY KEY (id, state));
ALTER TABLE tb_ticket ALTER big SET STORAGE EXTERNAL;
CREATE INDEX ON tb_ticket (state);
CREATE TABLE tb_tag (label TEXT, amount INT);
ALTER TABLE tb_tag REPLICA IDENTITY FULL;
CREATE TABLE tb_step (pk BIGINT PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, id UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(), amount INT, note TEXT);
ALTER TABLE tb_step REPLICA IDENTITY USING INDEX tb_step_id_key;
CREATE TABLE tb_kind (id BIGINT PRIMARY KEY, amount INT, mood mood, moods mood[], pair pair, pairs pair[], cost price);

CREATE PUBLICATION fraiseql_events FOR TABLE tb_order, tb_line, tb_code, tb_document, tb_full, tb_measure, tb_event_a, tb_event_b, ONLY tb_parent,
    ONLY tb_child, tb_price, tb_person (id, name), tb_ticket WHERE (state <> 'hidden'), tb_tag, tb_step, tb_kind WITH (publish_via_partition_root = true)
"""

# What is published, and what its rows are told apart by.
PUBLISHED: dict[str, tuple[str, ...] | None] = {
    "tb_order": ("id",), "tb_line": ("shop", "id"), "tb_code": ("id",), "tb_document": ("id",), "tb_full": ("id",), "tb_measure": ("id", "region"),
    "tb_event_a": ("id", "kind"), "tb_event_b": ("id", "kind"), "tb_parent": ("id",), "tb_child": ("id",), "tb_price": ("id",), "tb_person": ("id",),
    "tb_ticket": ("id", "state"), "tb_tag": None, "tb_step": ("id",), "tb_kind": ("id",)}

# Of a hundred rows so many, as SELECTs over a number `i`. The rest is tb_order's. A table without a key is small.
_LARGE = "repeat(md5(i::text), 80)"
_FILLED = {
    "tb_line": (12, "'shop ' || i % 9, i, i % 100, repeat('l', i % 60)"),
    "tb_code": (8, "'code \"' || i, i % 100, 'c'"),
    "tb_document": (4, f"i, i % 100, 'd', {_LARGE}, jsonb_build_object('n', i, 'x', {_LARGE})"),
    "tb_full": (3, f"i, i % 100, 'f', {_LARGE}"),
    "tb_measure": (12, "i, i % 3, i % 100, repeat('m', i % 40)"),
    "part_event": (10, "i, i % 2, i % 100, 'e'"),
    "tb_parent": (5, "i, i % 100, 'p'"),
    "tb_child": (5, "i, i % 100, 'p', 'own ' || i"),
    "tb_price": (6, "i, i % 1000"),
    "tb_person": (5, "i, 'name ' || i, 'secret'"),
    "tb_ticket": (4, f"i, CASE i % 4 WHEN 0 THEN 'hidden' ELSE 'open' END, i % 100, {_LARGE}"),
    "tb_step": (4, "i, gen_random_uuid(), i % 100, 's'"),
    "tb_kind": (5, "i, i % 100, (ARRAY['glad', 'so so', 'sad \"x\"', NULL])[i % 4 + 1]::mood, ARRAY['glad', 'sad \"x\"']::mood[], "
                   "ROW(i, 'b \"' || i)::pair, ARRAY[ROW(i, NULL)::pair], i / 4.0"),
}
_ORDERS = "i, (ARRAY['new', 'paid', 'sent'])[i % 3 + 1], i / 4.0, '2026-01-01'::timestamptz + i * interval '1 min', ARRAY['a', NULL, i::text], repeat('o', i % 50)"
_TAGS_AT_MOST = 2_000

# What a table without a key of its own has, in place of its name.
_GENERATED = {"tb_price": "tb_price (id, a)"}


def make_tables(postgres: Postgres) -> None:
    """Tables, and the publication of them."""
    postgres.run(_TABLES)


def fill(postgres: Postgres, count: int, seed: int) -> None:
    """So many rows in all, about."""
    sizes = {table: max(6, count * percent // 100) for table, (percent, _) in _FILLED.items()}
    tags = min(_TAGS_AT_MOST, max(6, count // 100))
    with postgres.connect() as connection:
        for table, (_, columns) in _FILLED.items():
            connection.execute(f"INSERT INTO {_GENERATED.get(table, table)} SELECT {columns} FROM generate_series(1, {sizes[table]}) AS i")
        connection.execute(f"INSERT INTO tb_tag SELECT 'tag ' || i % 7, i % 3 FROM generate_series(1, {tags}) AS i")
        connection.execute(f"INSERT INTO tb_order SELECT {_ORDERS} FROM generate_series(1, {max(6, count - sum(sizes.values()) - tags)}) AS i")


def stir(postgres: Postgres) -> None:
    """Moves and removes a part of the rows, so that no table is in the order of its keys and pages have room; before anything listens."""
    with postgres.connect() as connection:
        for table in ("tb_order", "tb_line", "tb_document", "tb_measure"):
            connection.execute(f"UPDATE {table} SET note = 'stirred' WHERE id % 5 = 0")
            connection.execute(f"DELETE FROM {table} WHERE id % 11 = 3")
        connection.execute("VACUUM")


@dataclass(frozen=True)
class _Change:
    """A statement and what it is given: `id` a row that may be there, `fresh` an id that no row had, `n` any number, `large` a large value."""

    weight: int
    statement: str


_ID = "%(id)s"
_CHANGES = [
    _Change(6, "INSERT INTO tb_order VALUES (%(fresh)s, 'new', 1.5, now(), '{}', 'inserted')"),
    _Change(8, "UPDATE tb_order SET total = %(n)s, note = repeat('w', %(n)s %% 300) WHERE id = %(id)s"),
    _Change(3, "UPDATE tb_order SET status = 'moved' WHERE id BETWEEN %(id)s AND %(id)s + 5"),
    _Change(2, "UPDATE tb_order SET id = %(fresh)s WHERE id = %(id)s"),
    _Change(4, "DELETE FROM tb_order WHERE id = %(id)s"),
    _Change(3, "INSERT INTO tb_line VALUES ('shop 3', %(fresh)s, 1, 'inserted')"),
    _Change(4, "UPDATE tb_line SET note = repeat('w', %(n)s %% 200) WHERE shop = 'shop ' || %(id)s %% 9 AND id = %(id)s"),
    _Change(3, "UPDATE tb_line SET shop = 'moved' WHERE shop = 'shop ' || %(id)s %% 9 AND id = %(id)s"),
    _Change(2, "DELETE FROM tb_line WHERE shop = 'shop ' || %(id)s %% 9 AND id = %(id)s"),
    _Change(2, "INSERT INTO tb_code VALUES ('code ' || %(fresh)s, 1, 'inserted')"),
    _Change(3, "UPDATE tb_code SET amount = %(n)s WHERE id = 'code \"' || %(id)s"),
    _Change(2, "UPDATE tb_code SET id = 'moved ' || %(fresh)s WHERE id = 'code \"' || %(id)s"),
    _Change(1, "DELETE FROM tb_code WHERE id = 'code \"' || %(id)s"),
    _Change(3, "INSERT INTO tb_document VALUES (%(fresh)s, 1, 'inserted', %(large)s, jsonb_build_object('x', %(large)s::text))"),
    # Large values that are left alone, the row moved by what is not.
    _Change(12, "UPDATE tb_document SET amount = %(n)s, note = repeat('w', %(n)s %% 600) WHERE id = %(id)s"),
    _Change(3, "UPDATE tb_document SET big = %(large)s WHERE id = %(id)s"),
    _Change(5, "UPDATE tb_document SET id = %(fresh)s WHERE id = %(id)s"),
    _Change(2, "DELETE FROM tb_document WHERE id = %(id)s"),
    _Change(4, "UPDATE tb_full SET amount = %(n)s, note = repeat('w', %(n)s %% 600) WHERE id = %(id)s"),
    _Change(2, "UPDATE tb_full SET id = %(fresh)s WHERE id = %(id)s"),
    _Change(1, "DELETE FROM tb_full WHERE id = %(id)s"),
    _Change(2, "INSERT INTO tb_measure VALUES (%(fresh)s, %(n)s %% 3, 1, 'inserted')"),
    _Change(4, "UPDATE tb_measure SET amount = %(n)s WHERE id = %(id)s"),
    _Change(6, "UPDATE tb_measure SET region = (region + 1) %% 3 WHERE id = %(id)s"),
    _Change(2, "DELETE FROM tb_measure WHERE id = %(id)s"),
    _Change(2, "INSERT INTO part_event VALUES (%(fresh)s, %(n)s %% 2, 1, 'inserted')"),
    _Change(4, "UPDATE part_event SET kind = 1 - kind, amount = %(n)s WHERE id = %(id)s"),
    _Change(2, "DELETE FROM part_event WHERE id = %(id)s"),
    _Change(3, "UPDATE tb_parent SET note = repeat('w', %(n)s %% 100) WHERE id = %(id)s"),
    _Change(1, "INSERT INTO tb_child VALUES (%(fresh)s, 1, 'p', 'inserted')"),
    _Change(1, "DELETE FROM tb_parent WHERE id = %(id)s"),
    _Change(3, "UPDATE tb_price SET a = %(n)s WHERE id = %(id)s"),
    _Change(3, "UPDATE tb_person SET name = 'name ' || %(n)s WHERE id = %(id)s"),
    _Change(1, "UPDATE tb_person SET secret = 's' WHERE id = %(id)s"),
    _Change(3, "UPDATE tb_ticket SET amount = %(n)s WHERE id = %(id)s"),
    # Into the publication and out of it, the large value left alone.
    _Change(6, "UPDATE tb_ticket SET state = CASE state WHEN 'hidden' THEN 'open' ELSE 'hidden' END WHERE id = %(id)s"),
    _Change(2, "INSERT INTO tb_tag VALUES ('tag ' || %(n)s %% 7, %(n)s %% 3)"),
    _Change(2, "UPDATE tb_tag SET amount = amount + 1 WHERE ctid = (SELECT ctid FROM tb_tag WHERE label = 'tag ' || %(n)s %% 7 LIMIT 1 FOR UPDATE SKIP LOCKED)"),
    _Change(1, "DELETE FROM tb_tag WHERE ctid = (SELECT ctid FROM tb_tag WHERE label = 'tag ' || %(n)s %% 7 LIMIT 1 FOR UPDATE SKIP LOCKED)"),
    _Change(3, "UPDATE tb_step SET amount = %(n)s WHERE pk = %(id)s"),
    _Change(1, "UPDATE tb_step SET id = gen_random_uuid() WHERE pk = %(id)s"),
    _Change(2, "INSERT INTO tb_step (pk, amount, note) VALUES (%(fresh)s, 1, 'inserted')"),
    _Change(4, "UPDATE tb_kind SET mood = 'glad', pair = ROW(%(n)s, 'x, y')::pair, cost = %(n)s WHERE id = %(id)s"),
    _Change(2, "SELECT FROM tb_order WHERE id = %(id)s FOR SHARE"),
]

# Now and then, by one writer of all: of a load so many, each behind an equal part of it.
_TRUNCATED = ("tb_code", "tb_tag", "tb_measure", "tb_step")
_VACUUMED = ("tb_order", "tb_document", "tb_line", "tb_ticket", "")
_REWRITTEN = ("tb_line", "tb_document", "tb_tag", "measured_once", "tb_order")


class BackfillLoad:
    """`operations` transactions of eight writers together, on rows whose ids go up to about `ids`. `maintenance`: how often each of TRUNCATE,
    VACUUM and VACUUM FULL comes; `rate`: at most so many transactions a second (None: as fast as they go); `walked` tells which table is read now (None: none), which is then the
    one that VACUUM FULL rewrites. A writer whose connection breaks connects again and goes on with its next operation; which of its commits
    went through is no matter here: PostgreSQL's tables are the judge."""

    def __init__(self, postgres: Postgres, operations: int, ids: int, seed: int, maintenance: int = 2, rate: float | None = None,
                 walked: Callable[[], str | None] = lambda: None):
        self._postgres = postgres
        self._each = -(-operations // WRITERS)
        self._ids = ids
        self._seed = seed
        self._maintenance = maintenance
        self._walked = walked
        self._pause = WRITERS / rate if rate else 0.0
        # Where the ids begin that no row had; of another load of the same tables elsewhere.
        self._fresh = 1_000_000_000 * (1 + seed % 1009)
        self._done = [0] * WRITERS
        self._is_over = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._write, args=(number,), name=f"writer {number}", daemon=True) for number in range(WRITERS)]
        self.maintained: list[str] = []

    def start(self) -> "BackfillLoad":
        """Begins in the background."""
        for thread in self._threads:
            thread.start()
        return self

    @property
    def running(self) -> bool:
        """Whether there is more to come."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def done(self) -> int:
        """How many operations were tried."""
        return sum(self._done)

    def finish(self, seconds: float = 900) -> None:
        """Waits for the end; fails if a writer did."""
        for thread in self._threads:
            thread.join(seconds)
            assert not thread.is_alive(), f"{thread.name} did not end within {seconds:g} s"
        if self._failures:
            raise self._failures[0]

    def close(self) -> None:
        """Ends it early."""
        self._is_over.set()
        for thread in self._threads:
            if thread.ident:
                thread.join(60)

    def _write(self, number: int) -> None:
        dice = random.Random(self._seed * 100 + number)
        connection = None
        due = self._due(number)
        began = time.monotonic()
        try:
            while self._done[number] < self._each and not self._is_over.is_set():
                try:
                    connection = connection or self._connect(number)
                    while due and due[0][0] <= self._done[number]:
                        self._maintain(connection, due.pop(0)[1])
                    self._transact(connection, dice, number)
                except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.LockNotAvailable,
                        psycopg.errors.QueryCanceled):
                    connection.execute("ROLLBACK")
                except psycopg.OperationalError:
                    if connection is not None:
                        connection.close()
                    connection = None
                    self._wait_back(number)
                self._done[number] += 1
                # Who was held up makes up for it, as pgbench does.
                self._is_over.wait(max(0.0, began + self._done[number] * self._pause - time.monotonic()))
        except BaseException as failure:  # noqa: BLE001 - handed to the thread that waits in finish()
            self._failures.append(failure)
            self._is_over.set()
        finally:
            if connection is not None:
                connection.close()

    def _wait_back(self, number: int) -> None:
        """Until PostgreSQL takes connections again; what this writer prepared and did not commit before is committed."""
        wait_until(lambda: self._is_over.is_set() or self._connect(number).close() is None, 120, "PostgreSQL is back for the load")

    def _connect(self, number: int) -> psycopg.Connection:
        connection = self._postgres.connect()
        prepared = connection.execute("SELECT gid FROM pg_prepared_xacts WHERE gid = %s", (f"writer {number}",)).fetchone()
        if prepared:
            connection.execute(f"COMMIT PREPARED 'writer {number}'")
        return connection

    def _due(self, number: int) -> list[tuple[int, str]]:
        """What this one does besides, and behind which of its operations."""
        if number != 0:
            return []
        dice = random.Random(self._seed)
        statements = []
        for turn in range(self._maintenance):
            statements += [f"TRUNCATE {_TRUNCATED[turn % len(_TRUNCATED)]}", f"VACUUM {_VACUUMED[turn % len(_VACUUMED)]}",
                           f"VACUUM FULL {_REWRITTEN[turn % len(_REWRITTEN)]}"]
        dice.shuffle(statements)
        return [((place + 1) * self._each // (len(statements) + 1), statement) for place, statement in enumerate(statements)]

    def _maintain(self, connection: psycopg.Connection, statement: str) -> None:
        if statement.startswith("VACUUM FULL") and (table := self._walked()):
            statement = f"VACUUM FULL {table}"
        connection.execute(statement)
        self.maintained.append(statement)

    def _transact(self, connection: psycopg.Connection, dice: random.Random, number: int) -> None:
        connection.execute("BEGIN")
        if dice.random() < 0.2:
            connection.execute("SET LOCAL synchronous_commit = off")
        for place in range(dice.choice((1, 1, 1, 2, 3, 6))):
            change = dice.choices(_CHANGES, [change.weight for change in _CHANGES])[0]
            fresh = self._fresh + (self._done[number] * 16 + place) * WRITERS + number
            recent = self._fresh + dice.randrange(max(1, self._done[number])) * 16 * WRITERS + number
            given = {"id": recent if dice.random() < 0.15 else dice.randint(1, self._ids), "fresh": fresh, "n": dice.randint(0, 10_000),
                     "large": f"{dice.random()}" * dice.choice((1, 150, 600))}
            is_taken_back = dice.random() < 0.1
            if is_taken_back:
                connection.execute("SAVEPOINT s")
            connection.execute(change.statement, given)
            if is_taken_back:
                connection.execute(dice.choice(("ROLLBACK TO s", "RELEASE s")))
        end = dice.random()
        if end < 0.08:
            connection.execute("ROLLBACK")
        elif end < 0.12:
            connection.execute(f"PREPARE TRANSACTION 'writer {number}'")
            connection.execute(f"COMMIT PREPARED 'writer {number}'")
        else:
            connection.execute("COMMIT")
