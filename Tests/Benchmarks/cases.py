"""What a backlog consists of: the tables, and the function that makes one transaction of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from deployment import demo_schema
from servers.postgres import Postgres

_ORDER_COLUMNS = "tb_order (identifier, items, shipping_address, status)"


def _orders(first: str, last: str) -> str:
    """An INSERT of orders, numbered from `first` to `last`."""
    return (f"INSERT INTO {_ORDER_COLUMNS} SELECT 'order ' || k, ARRAY['sku-1'], '1 Main Street', 'pending' "
            f"FROM generate_series({first}, {last}) AS k")


@dataclass(frozen=True)
class Case:
    """`transactions` transactions of `rows` changes each.

    `one` is the body of a PL/pgSQL function that makes transaction `n`, `tables` what is there before the slot is; in both
    `{rows}` and `{transactions}` stand for the case's own. `kept_rows`: as many changes of each transaction, its last among
    them, become events, where not all do. `overrides` go into the streamer's configuration.
    """

    name: str
    what: str
    transactions: int
    rows: int
    one: str
    tables: str = ""
    prepare: Callable[[Postgres], None] = demo_schema
    kept_rows: int | None = None
    overrides: dict[str, dict] = field(default_factory=dict)

    @property
    def changes(self) -> int:
        """What the slot holds."""
        return self.transactions * self.rows

    @property
    def events(self) -> int:
        """What the stream has to hold."""
        return self.transactions * (self.rows if self.kept_rows is None else self.kept_rows)

    def scaled(self, scale: float) -> "Case":
        """The same with so many times the changes: fewer transactions, or a smaller one where there is only one."""
        if self.transactions > 1:
            return replace(self, transactions=max(2, round(self.transactions * scale)))
        return replace(self, rows=max(1, round(self.rows * scale)))

    def create(self, postgres: Postgres) -> None:
        """Makes the tables, the publication, and the procedure `fill(n)`, which commits transactions 1 to n."""
        self.prepare(postgres)
        numbers = {"rows": self.rows, "transactions": self.transactions}
        if self.tables:
            postgres.run(self.tables.format(**numbers))
        postgres.run("CREATE FUNCTION one(n INT) RETURNS VOID LANGUAGE plpgsql AS $$ BEGIN "
                     f"{self.one.format(**numbers)}; END $$")
        postgres.run("CREATE PROCEDURE fill(count INT) LANGUAGE plpgsql AS $$ BEGIN "
                     "FOR n IN 1..count LOOP PERFORM one(n); COMMIT; END LOOP; END $$")
        names = postgres.value("SELECT string_agg(format('%I', tablename), ', ') FROM pg_tables WHERE tablename LIKE 'tb\\_%'")
        postgres.run(f"CREATE PUBLICATION fraiseql_events FOR TABLE {names}")


def _columns(count: int) -> tuple[str, str]:
    """So many columns of five types by turns: their definitions, and values for row `n` and `k`."""
    kinds = [("INT", "k"), ("TEXT", "'text ' || k"), ("NUMERIC(12, 2)", "k / 100.0"), ("BOOLEAN", "k % 2 = 0"),
             ("TIMESTAMPTZ", "now()")]
    chosen = [kinds[index % len(kinds)] for index in range(count)]
    definitions = ", ".join(f"column_{index + 1:03} {kind}" for index, (kind, _) in enumerate(chosen))
    return definitions, ", ".join(value for _, value in chosen)


def _wide(count: int, name: str, what: str, rows: int) -> Case:
    """One transaction of rows of a key and so many columns more."""
    definitions, values = _columns(count)
    return Case(name, what, 1, rows, f"INSERT INTO tb_wide SELECT k, {values} FROM generate_series(1, {{rows}}) AS k",
                f"CREATE TABLE tb_wide (id BIGINT PRIMARY KEY, {definitions})", lambda _: None)


_MIXED_TABLES = _orders("-1000 - 2 * {transactions} + 1", "0")
# The rows that were there before: two for each transaction to delete, and behind them a thousand to update again and again.
_UPDATE = ("UPDATE tb_order SET status = 'paid', total_amount = n % 1000 "
           "WHERE pk_order = 2 * {{transactions}} + 1 + (4 * n + {}) % 1000")
_DELETE = "DELETE FROM tb_order WHERE pk_order = 2 * n - {}"
_MIXED = [_orders("10 * n", "10 * n"), _UPDATE.format(0), _orders("10 * n + 1", "10 * n + 2"), _UPDATE.format(1),
          _DELETE.format(0), _UPDATE.format(2), _DELETE.format(1), _UPDATE.format(3), _orders("10 * n + 3", "10 * n + 3")]

CASES = [
    Case("bulk", "one transaction of 500,000 rows", 1, 500_000, _orders("1", "{rows}")),
    Case("single", "200,000 single-row transactions", 200_000, 1, _orders("n", "n")),
    Case("mixed", "30,000 transactions of 4 inserts, 4 updates, 2 deletes", 30_000, 10, "; ".join(_MIXED), _MIXED_TABLES),
    _wide(99, "wide", "one transaction of 100,000 rows of 100 columns", 100_000),
    Case("large", "1,000 transactions of 10 rows with 64 KiB of text", 1_000, 10,
         "INSERT INTO tb_document SELECT 10 * n + k, repeat(md5((10 * n + k)::text), 2048) "
         "FROM generate_series(1, {rows}) AS k",
         # Kept as it is, so that decoding is what it costs, and not PostgreSQL's compression.
         "CREATE TABLE tb_document (id BIGINT PRIMARY KEY, body TEXT NOT NULL); "
         "ALTER TABLE tb_document ALTER COLUMN body SET STORAGE EXTERNAL"),
    Case("full", "an UPDATE of 200,000 rows, REPLICA IDENTITY FULL", 1, 200_000,
         "UPDATE tb_order SET status = 'paid', total_amount = 12.50",
         "ALTER TABLE tb_order REPLICA IDENTITY FULL; " + _orders("1", "{rows}")),
    Case("filtered", "20,000 transactions of 100 rows, 99 of an excluded table", 20_000, 100,
         "INSERT INTO tb_noise (note) SELECT 'noise ' || k FROM generate_series(2, {rows}) AS k; " + _orders("n", "n"),
         "CREATE TABLE tb_noise (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note TEXT)", kept_rows=1,
         overrides={"events": {"exclude": ["public.tb_noise"]}}),
]


def _many_tables(count: int) -> Case:
    """Rows that go to so many tables by turns, in one transaction."""
    return Case(f"{count:,} tables", f"one transaction of 500,000 rows of {count:,} tables", 1, 500_000,
                "FOR k IN 1..{rows} LOOP "
                f"EXECUTE format('INSERT INTO tb_%s VALUES (%s, ''row'')', k % {count} + 1, k); END LOOP",
                f"DO $$ BEGIN FOR k IN 1..{count} LOOP EXECUTE format("
                f"'CREATE TABLE tb_%s (id BIGINT PRIMARY KEY, note TEXT)', k); END LOOP; END $$", lambda _: None)


def _many_columns(count: int, rows: int) -> Case:
    title = f"{count:,} column{'s' if count > 1 else ''}"
    return Case(title, f"one transaction of {rows:,} rows of {title}", 1, rows,
                f"INSERT INTO tb_columns SELECT {', '.join(['k'] * count)} FROM generate_series(1, {{rows}}) AS k",
                f"CREATE TABLE tb_columns ({', '.join(f'c{index + 1} INT' for index in range(count))})", lambda _: None)


# How cost grows: with the backlog, with tables, with columns.
GROWTH = [
    *[Case(f"{millions} million", f"one transaction of {millions},000,000 rows", 1, millions * 1_000_000,
           _orders("1", "{rows}")) for millions in (1, 2, 4)],
    *[_many_tables(count) for count in (10, 100, 1_000)],
    *[_many_columns(count, rows) for count, rows in ((1, 500_000), (10, 500_000), (100, 100_000), (1_000, 20_000))],
]
