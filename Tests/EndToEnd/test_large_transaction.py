"""One transaction of a million rows."""

ROWS = 1_000_000
MEMORY_LIMIT = 64 * 2**20


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
           f"peak resident memory {peak / 2**20:.1f} MB ({before / 2**20:.1f} MB before it), {cpu:.1f} s CPU")
    assert peak < MEMORY_LIMIT, f"peak resident memory {peak / 2**20:.1f} MB"
