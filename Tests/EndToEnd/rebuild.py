"""The tables as a consumer can rebuild them from the stream, against the tables themselves, through SQL."""

from collections.abc import Iterable

from compare import members
from servers.postgres import Postgres
from stream import Event


def require_same_tables(postgres: Postgres, events: Iterable[Event], tables: dict[str, str]) -> int:
    """Fails unless applying the events gives, byte for byte, PostgreSQL's own to_json of each row. `tables`: name → an
    SQL condition for the rows that have been in an event. Returns how many rows were compared."""
    rebuilt: dict[str, dict[str, str]] = {table: {} for table in tables}
    for event in events:
        body = event.json
        rows = rebuilt[body["source"]["table"]]
        if body["operation"] == "TRUNCATE":
            rows.clear()
        elif body["operation"] == "DELETE":
            rows.pop(body["entity_id"], None)
        else:
            rows[body["entity_id"]] = members(event.body)["entity"]
    compared = 0
    with postgres.connect() as connection:
        for table, condition in tables.items():
            rows = rebuilt[table]
            query = f"SELECT id::text, to_json(t)::text FROM {table} AS t WHERE {condition}"
            for identity, row in connection.execute(query):
                own = rows.pop(identity, None)
                assert own == row, f"{table} {identity} is {row}, rebuilt from the stream it is {own}"
                compared += 1
            assert not rows, f"{table}: in the stream and not in the table: {list(rows)[:5]}"
    assert compared > 0, "no row was compared"
    return compared
