"""One transaction of a million rows, and one value of half a gigabyte."""

import stream

ROWS = 1_000_000
MEMORY_LIMIT = 48 * 2**20


def _measurements(postgres) -> None:
    postgres.run("CREATE TABLE tb_measurement (pk_measurement BIGINT PRIMARY KEY, id UUID NOT NULL UNIQUE "
                 "DEFAULT gen_random_uuid(), value NUMERIC NOT NULL, note TEXT)")
    postgres.run("ALTER TABLE tb_measurement REPLICA IDENTITY USING INDEX tb_measurement_id_key")


def test_a_transaction_of_a_million_rows_is_equal_in_constant_memory(one_pair, deploy, report):
    deployment = deploy(one_pair, prepare=_measurements)
    deployment.streamer.start()
    before = deployment.streamer.peak_memory()
    deployment.postgres.run(f"INSERT INTO tb_measurement (pk_measurement, value, note) "
                            f"SELECT i, i / 8.0, 'row ' || i FROM generate_series(1, {ROWS}) AS i")
    deployment.wait_confirmed(600)
    peak, cpu = deployment.streamer.peak_memory(), deployment.streamer.cpu_seconds()
    # Too many to be held at once on a small machine: compared as they come.
    result = deployment.compare(keep_events=False)
    assert (result.compared, result.transactions) == (ROWS, 1)
    report(f"{one_pair}: a transaction of {result.compared} events compared, {len(result.differences)} differences; "
           f"peak anonymous memory {peak / 2**20:.1f} MB ({before / 2**20:.1f} MB before it), {cpu:.1f} s CPU")
    assert peak < MEMORY_LIMIT, f"peak anonymous memory {peak / 2**20:.1f} MB"


_VALUE_BYTES = 500_000_000


def _documents(postgres) -> None:
    postgres.run("CREATE TABLE tb_document (n BIGINT PRIMARY KEY, body TEXT)")


def test_a_value_of_half_a_gigabyte_is_quarantined_in_bounded_memory_and_its_session_lives_on(one_pair, deploy, report):
    """libpq holds the message, and while it grows its buffer the half of it once more; nothing of ours is as large."""
    deployment = deploy(one_pair, prepare=_documents)
    streamer, postgres = deployment.streamer, deployment.postgres
    streamer.start()
    holder = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'fraiseql_events'"
    postgres.run("INSERT INTO tb_document VALUES (1, 'before')")
    deployment.wait_confirmed()
    walsender, before = postgres.value(holder), streamer.peak_memory()
    postgres.run(f"INSERT INTO tb_document VALUES (2, repeat('x', {_VALUE_BYTES})), (3, 'beside')")
    postgres.run("INSERT INTO tb_document VALUES (4, 'behind')")
    deployment.wait_confirmed(600)
    peak = streamer.peak_memory()
    assert postgres.value(holder) == walsender, streamer.last_words()
    assert streamer.metric("slotstream_reconnects_total") == 0
    one, large, beside, behind = (event.json for event in stream.read(deployment.nats.url))
    assert [event["entity"]["n"] for event in (one, beside, behind)] == [1, 3, 4]
    assert (large["entity_type"], large["operation"]) == ("_slotstream", "POISON") and large["poison"]["entity_id"] == "2"
    assert large["poison"]["reason"] == "payload_too_large" and len(str(large)) < 10_000
    report(f"{one_pair}: a value of {_VALUE_BYTES / 2**20:.0f} MiB: peak anonymous memory {peak / 2**20:.1f} MiB ({before / 2**20:.1f} MiB before it)")
    assert peak < 2 * _VALUE_BYTES + MEMORY_LIMIT, f"peak anonymous memory {peak / 2**20:.1f} MiB"
