"""A storm of DDL: random ALTERs between random writes, the streamer killed in between; every event agrees with the row as it was
at its commit."""

import json
from random import Random

from compare import members
from tenants import tenant_maker, tenants  # noqa: F401

ALTERS = 500
KILLS = 10

# A type, and an expression that makes a value of it from a random integer `n`.
_TYPES = {
    "INT": "{n}", "BIGINT": "{n} * 1000000007::bigint", "NUMERIC(20,4)": "{n} / 7.0", "TEXT": "'text \"{n}\\'", "VARCHAR(40)": "'v{n}'",
    "BOOL": "{n} % 2 = 0", "TIMESTAMPTZ": "'2026-01-01 00:00+00'::timestamptz + {n} * interval '1 second'", "INT[]": "ARRAY[{n}, NULL, 2]",
    "TEXT[]": "ARRAY['a \"{n}\"', NULL]", "JSONB": "jsonb_build_object('n', {n})", "DATE": "'2026-01-01'::date + {n} % 1000",
    "couple": "ROW({n}, 'c {n}')::couple", "couple[]": "ARRAY[ROW({n}, NULL)::couple]", "mood": "'ok'", "INT4RANGE": "int4range(1, 2 + {n} % 100)",
    "FLOAT8": "{n} / 3.0::float8", "UUID": "'2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11'",
}

_COUNTERS = ("ADD COLUMN", "DROP COLUMN", "RENAME COLUMN", "ALTER TYPE", "RENAME TABLE", "REPLICA IDENTITY", "ADD VALUE")


class Storm:
    """Two tables that change shape; remembers what PostgreSQL said of each row when it was written."""

    def __init__(self, connection, random: Random):
        self.connection = connection
        self.random = random
        self.tables = {"tb_a": {}, "tb_b": {}}
        self.names = {table: table for table in self.tables}
        # Whether the whole old row is the replica identity.
        self.is_full = dict.fromkeys(self.tables, False)
        self.count = 0
        self.keys = 0
        self.labels = 1
        self.done = dict.fromkeys(_COUNTERS, 0)
        # One an event: (operation, table's name, entity, before), the rows as to_json says them; before is None where there is none.
        self.expected: list[tuple[str, str, str, str | None]] = []
        for table in self.tables:
            connection.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY)")

    def _new_name(self) -> str:
        self.count += 1
        return self.random.choice([f"c{self.count}", f'"C {self.count}"', f'"q""{self.count}"', f'"é{self.count}"'])

    def alter(self) -> None:
        """One ALTER, whichever."""
        random = self.random
        table = random.choice(list(self.tables))
        columns, name = self.tables[table], self.names[table]
        choice = random.choice(_COUNTERS)
        if choice == "RENAME TABLE":
            self.count += 1
            self.names[table] = f"{table}_{self.count}"
            statement = f"ALTER TABLE {name} RENAME TO {self.names[table]}"
        elif choice == "REPLICA IDENTITY":
            self.is_full[table] = random.random() < 0.5
            statement = f"ALTER TABLE {name} REPLICA IDENTITY {'FULL' if self.is_full[table] else 'DEFAULT'}"
        elif choice == "ADD VALUE":
            self.labels += 1
            statement = f"ALTER TYPE mood ADD VALUE 'label {self.labels}'"
        elif choice == "ADD COLUMN" or not columns or len(columns) < 3:
            choice = "ADD COLUMN"
            column, kind = self._new_name(), random.choice(list(_TYPES))
            default = f" DEFAULT ({_TYPES[kind].format(n=random.randrange(1000))})" if random.random() < 0.4 else ""
            columns[column] = kind
            statement = f"ALTER TABLE {name} ADD COLUMN {column} {kind}{default}"
        elif choice == "DROP COLUMN":
            column = random.choice(list(columns))
            del columns[column]
            statement = f"ALTER TABLE {name} DROP COLUMN {column}"
        elif choice == "RENAME COLUMN":
            column, new = random.choice(list(columns)), self._new_name()
            columns[new] = columns.pop(column)
            statement = f"ALTER TABLE {name} RENAME COLUMN {column} TO {new}"
        else:
            column, kind = random.choice(list(columns)), random.choice(["TEXT", "JSONB", "INT[]"])
            value = {"TEXT": f"{column}::text", "JSONB": f"to_jsonb({column})", "INT[]": "ARRAY[1, 2]"}[kind]
            columns[column] = kind
            statement = f"ALTER TABLE {name} ALTER {column} DROP DEFAULT, ALTER {column} TYPE {kind} USING {value}"
        self.connection.execute(statement)
        self.done[choice] += 1

    def write(self) -> None:
        """One row inserted, changed or deleted, and what to_json says of it, and of what it was."""
        random = self.random
        table = random.choice(list(self.tables))
        columns, name = self.tables[table], self.names[table]
        values = {column: _TYPES[kind].format(n=random.randrange(100_000)) if random.random() < 0.8 else "NULL" for column, kind in columns.items()}
        operation = random.choice(["INSERT", "INSERT", "UPDATE", "UPDATE", "DELETE"])
        there = self.connection.execute(f"SELECT id, to_json(t)::text FROM {name} AS t ORDER BY random() LIMIT 1").fetchone()
        before = None
        if there is None or operation == "INSERT":
            operation = "INSERT"
            self.keys += 1
            sql = f"INSERT INTO {name} ({', '.join(['id', *values])}) VALUES ({', '.join([str(self.keys), *values.values()])})"
        elif operation == "UPDATE":
            changes = ", ".join(f"{column} = {value}" for column, value in values.items()) or "id = id"
            sql = f"UPDATE {name} SET {changes} WHERE id = {there[0]}"
            before = there[1] if self.is_full[table] else None
        else:
            sql = f"DELETE FROM {name} WHERE id = {there[0]}"
        said = self.connection.execute(f"{sql} RETURNING to_json({name})::text").fetchone()[0]
        if operation == "DELETE" and not self.is_full[table]:
            said = f'{{"id":{there[0]}}}'
        self.expected.append((operation, name, said, before))


def test_every_event_agrees_with_the_row_as_it_was_through_500_alters_and_kills(pair, tenants, seed, report):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["*"]}, "events": {"table_prefixes": []}})
    tenant.run("DROP TABLE tb_item; CREATE TYPE couple AS (a INT, b TEXT); CREATE TYPE mood AS ENUM ('ok')")
    random = Random(seed)
    tenant.streamer.setup()
    tenant.streamer.start()
    kills = 0
    with tenant.connect() as connection:
        for name, value in {"TimeZone": "UTC", "extra_float_digits": "3"}.items():
            connection.execute(f"SET {name} TO '{value}'")
        storm = Storm(connection, random)
        for number in range(ALTERS):
            # Some ALTERs and writes share a transaction.
            together = random.random() < 0.3
            if together:
                connection.execute("BEGIN")
            storm.alter()
            for _ in range(random.randrange(1, 5)):
                storm.write()
            if together:
                connection.execute("COMMIT")
            if number % (ALTERS // KILLS) == ALTERS // KILLS - 1:
                tenant.streamer.kill()
                kills += 1
                # Some of what follows is committed while nobody reads.
                for _ in range(random.randrange(0, 10)):
                    storm.alter()
                    storm.write()
                tenant.wait_free()
                tenant.streamer.start(wait=False)
    tenant.wait_stored(len(storm.expected), 60)
    tenant.wait_confirmed()
    events = tenant.read()
    assert len(events) == len(storm.expected)
    for event, (operation, table, said, before) in zip(events, storm.expected):
        told = event.json
        assert (told["operation"], told["source"]["table"]) == (operation, table), event.body
        found = members(event.body)
        assert found["entity"] == said, f"{event.id}: to_json said {said}, stored is {found['entity']}"
        assert found.get("before") == before, f"{event.id}: to_json said {before}, before is {found.get('before')}"
    whole = sum(1 for operation, _, said, before in storm.expected if before or operation == "DELETE" and "," in said)
    alters = sum(storm.done.values())
    assert alters >= ALTERS and kills == KILLS and all(storm.done.values()) and whole >= ALTERS / 10, (storm.done, whole)
    report(f"{pair}: {alters} ALTERs {json.dumps(storm.done)}, {kills} kills, {len(events)} events, {whole} of them with the whole old row, "
           "as to_json said at their commit")
    assert tenant.streamer.metric("slotstream_unknown_type_values_total") == 0
