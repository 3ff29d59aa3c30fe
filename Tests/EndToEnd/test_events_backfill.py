"""Every value of an old row as PostgreSQL itself would write it, and as a live event writes it: `entity` against `to_json(row)::text`, byte for byte."""

from random import Random

import typed_values
from backfilling import judged, runs
from servers.postgres import FOREIGN_DEFAULTS
from tenants import tenant_maker, tenants  # noqa: F401

RANDOM = 100


def test_every_type_of_an_old_row_is_written_as_to_json_writes_it(pair, tenants, seed, report):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["*"]}, "delivery": {"in_flight_bytes": "64MiB"}})
    for name, value in FOREIGN_DEFAULTS.items():
        tenant.run(f"ALTER DATABASE {tenant.name} SET {name} TO '{value}'")
    random = Random(seed)
    types = typed_values.types(pair.postgres)
    with tenant.connect() as connection:
        for name, value in {"TimeZone": "UTC", "DateStyle": "ISO"}.items():
            connection.execute(f"SET {name} TO '{value}'")
        for number, kind in enumerate(types):
            for statement in kind.setup:
                connection.execute(statement)
            connection.execute(f"CREATE TABLE tb_v{number} (id INT PRIMARY KEY, v {kind.name})")
            texts = kind.hard + [kind.random(random) for _ in range(RANDOM)] + [None]
            connection.execute(f"INSERT INTO tb_v{number} SELECT n, t::{kind.name} FROM unnest(%s::text[]) WITH ORDINALITY AS x(t, n)", (texts,))
    tenant.streamer.setup()
    tenant.streamer.start()
    told = runs(tenant)
    told.wait_done(told.request("*"), 300)
    tenant.wait_confirmed()
    judge = judged(tenant)
    assert len(judge.runs[0].finished) > len(types)
    report(f"{pair}: {len(types)} types, {judge.read} old rows, 0 differences against to_json")
    assert tenant.streamer.metric("slotstream_unknown_type_values_total") == 0


_HOSTILE = '"odd "" schema"."tb_a; b\'c"'


def test_old_rows_of_hostile_names_and_keys(pair, tenants):
    """What names and keys are quoted by is not what they end by."""
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["*"]}})
    tenant.run(f'''CREATE SCHEMA "odd "" schema"; CREATE TABLE {_HOSTILE} ("key ""x""" TEXT, "ключ" BYTEA, n NUMERIC, id TEXT, big TEXT, PRIMARY KEY ("key ""x""", "ключ", n));
        ALTER TABLE {_HOSTILE} ALTER big SET STORAGE EXTERNAL''')
    tenant.run(f"INSERT INTO {_HOSTILE} SELECT E'it''s \\\\ \"' || n, decode(md5(n::text), 'hex'), n / 3.0, 'id ' || n, repeat(md5(n::text), 300) FROM generate_series(1, 300) AS n")
    tenant.streamer.setup()
    tenant.streamer.start()
    told = runs(tenant)
    run = told.request("*", options=["--rate", "200"])
    told.wait_read(20)
    # Read again by its key.
    tenant.run(f"UPDATE {_HOSTILE} SET id = 'untouched' WHERE n < 4 OR n > 60")
    told.wait_done(run)
    tenant.wait_confirmed()
    judged(tenant)


def test_generated_columns_of_old_rows_are_those_of_live_events(pair, tenants):
    is_newest = int(pair.postgres) >= 18
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["public.tb_x", "public.tb_y"]}})
    tenant.run("CREATE TABLE tb_x (id INT PRIMARY KEY, a INT, twice INT GENERATED ALWAYS AS (a * 2) STORED, gone INT, b TEXT); ALTER TABLE tb_x DROP gone; "
               f"CREATE TABLE tb_y (id INT PRIMARY KEY, a INT{', once INT GENERATED ALWAYS AS (a + 1) VIRTUAL' if is_newest else ''})")
    tenant.run("INSERT INTO tb_x (id, a, b) SELECT n, n, 'b' FROM generate_series(1, 50) AS n; INSERT INTO tb_y (id, a) VALUES (1, 1)")
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_x, tb_y" + (" WITH (publish_generated_columns = stored)" if is_newest else ""))
    tenant.streamer.setup()
    tenant.streamer.start()
    told = runs(tenant)
    told.wait_done(told.request("public.tb_*"))
    tenant.run("INSERT INTO tb_x (id, a, b) VALUES (100, 7, 'live')")
    tenant.wait_confirmed()
    judge = judged(tenant)
    assert judge.read == 51
    old, live = (event.json["entity"] for event in tenant.read() if event.subject.endswith((".X.READ", ".X.INSERT")) and event.json["entity"]["id"] in (50, 100))
    assert list(old) == list(live) == (["id", "a", "twice", "b"] if is_newest else ["id", "a", "b"])
