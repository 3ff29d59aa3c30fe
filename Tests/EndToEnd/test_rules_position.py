"""What identifies a change: positions of logical messages, and the filters and options that decide the ordinals."""

import signal

import failpoints
from servers.tools import wait_until
from tenants import record_entries, stopped, tenant_maker, tenants  # noqa: F401

_BODY = '{"entity_type": "Note", "operation": "WRITTEN", "entity_id": "%s", "entity": {"n": %d}}'


def _emit(connection, number: int, transactional: bool = False) -> int:
    """Returns the message's LSN: where it ends."""
    return connection.execute("SELECT (pg_logical_emit_message(%s, 'fraiseql_events', %s) - '0/0')::bigint",
                              (transactional, _BODY % (number, number))).fetchone()[0]


def test_a_message_outside_transactions_is_stored_before_the_transaction_whose_commit_lsn_it_has(pair, tenants):
    """Pitfall 48c. The stream has room for the message and not for the transaction: between the two the streamer is killed."""
    tenant = tenants(pair, setup=False)
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", discard="new", max_msgs=1)
    streamer = tenant.streamer
    streamer.setup()
    streamer.start()
    met, stored = 0, 0
    for number in range(1, 20, 2):
        with tenant.connect() as connection, connection.transaction():
            connection.execute("INSERT INTO tb_item VALUES (%s)", (number + 1,))
            _emit(connection, number)
        tenant.wait_stored(stored + 1)
        wait_until(lambda: record_entries(streamer, "resynchronising"), 20, "the transaction is refused")
        streamer.kill()
        tenant.wait_free()
        assert tenant.last_sequence() == stored + 1
        # Room for the transaction, and for the next message.
        tenant.administrator.update(tenant.name, max_msgs=stored + 3)
        streamer.start()
        tenant.wait_stored(stored + 2)
        message, change = tenant.events()[stored:]
        stored += 2
        assert message.id.endswith(".0") and change.id.endswith(".1")
        assert (message.json["entity"]["n"], change.json["entity"]["n"]) == (number, number + 1)
        assert "id" not in message.json["transaction"]
        assert (message.json["transaction"]["ordinal"], message.json["transaction"]["last"]) == (0, True)
        met += message.id.split(".")[4] == change.id.split(".")[4]
        if met == 3:
            break
    assert met == 3, f"the LSNs were equal {met} times only"
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, stored + 1))


def test_keepalives_confirm_nothing_while_such_a_message_is_not_stored(pair, tenants):
    """The stream is full, the bucket is not: only the rule keeps the position back."""
    tenant = tenants(pair, setup=False)
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", discard="new", max_msgs=1)
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    with tenant.connect() as connection:
        position = _emit(connection, 2)
        # In WAL that is not the publication's, which is soon received and goes on moving.
        connection.execute("CREATE TABLE other (n INTEGER)")
        message = tenant.lsn("pg_current_wal_flush_lsn()")
        puts = tenant.administrator.revision(tenant.name)
        wait_until(lambda: record_entries(tenant.streamer, "resynchronising"), 20, "the message is refused")
        for _ in range(2):
            connection.execute("INSERT INTO other SELECT generate_series(1, 100)")
            target = tenant.value("SELECT pg_current_wal_flush_lsn()::text")
            wait_until(lambda: _lsn(tenant.streamer.status()["source"]["received_lsn"]) >= _lsn(target), 20,
                       "keepalives came")
            wait_until(lambda: _status_sent(tenant), 20, "a status was sent after them")
            assert tenant.confirmed() < position <= message
    tenant.administrator.update(tenant.name, max_msgs=-1)
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    assert tenant.confirmed() >= message and puts <= tenant.administrator.revision(tenant.name)
    assert tenant.stored() == [1, 2]


def _status_sent(tenant) -> bool:
    """Whether PostgreSQL has had a status update since everything now in its WAL was received."""
    return tenant.value("SELECT write_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication WHERE pid = %s",
                        (tenant.holder(),))


def _lsn(text: str) -> int:
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def test_messages_of_other_programs_are_no_events_and_pin_nothing(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    with tenant.connect() as connection:
        for transactional in (True, False):
            connection.execute("SELECT pg_logical_emit_message(%s, 'of another program', 'no JSON')", (transactional,))
        connection.execute("INSERT INTO tb_item VALUES (1)")
    tenant.wait_confirmed()
    tenant.require_exact(1)


def test_what_is_filtered_counts_so_that_ordinals_are_the_same_under_another_filter(pair, tenants):
    # Pitfall 12: killed in the middle of a transaction, and started again with other filters.
    tenant = tenants(pair, overrides={"events": {"exclude": ["public.tb_noise"]}})
    tenant.run("CREATE TABLE tb_noise (n BIGINT PRIMARY KEY)")
    tenant.run(f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_noise")
    # By the first ack no more than `in_flight_messages` are stored.
    failpoints.start(tenant.streamer, "after_ack", "kill")
    tenant.streamer.wait_ready()
    rows = 20_000
    with tenant.connect() as connection, connection.transaction():
        connection.execute(f"INSERT INTO tb_noise SELECT generate_series(1, {rows})")
        connection.execute(f"INSERT INTO tb_item SELECT generate_series(1, {rows})")
        connection.execute("INSERT INTO tb_noise VALUES (0)")
    assert tenant.streamer.wait(60) == -signal.SIGKILL
    tenant.wait_free()
    assert 0 < tenant.last_sequence() < rows
    other = tenant.another({"events": {"exclude": []}})
    # What is stored behind the record cannot be compared under other filters: it is finished under its own first.
    other.start(wait=False)
    assert "exclude=public.tb_noise" in stopped(other, 73, "options_changed")
    failpoints.start(tenant.streamer, "after_ack", "terminate")
    assert tenant.streamer.wait(60) == 0
    tenant.wait_free()
    assert 0 < tenant.last_sequence() < rows
    other.start()
    tenant.wait_stored(rows + 1, seconds=120)
    tenant.wait_confirmed(60)
    numbers = [event.json["entity"]["n"] for event in tenant.read()]
    assert numbers == [*range(1, rows + 1), 0]
    ordinals = [int(event.id.rpartition(".")[2]) for event in tenant.read()]
    assert ordinals == list(range(rows + 1, 2 * rows + 2)), "each has its place among all changes"


def test_changed_options_are_refused_inside_a_transaction_and_accepted_at_its_end(pair, tenants):
    tenant = tenants(pair, overrides={"delivery": {"checkpoint_interval": "50ms"}})
    tenant.run(f"CREATE PUBLICATION {tenant.name}_b FOR TABLE tb_item")
    changed = tenant.another({"source": {"publication": f"{tenant.name}_b"}})
    failpoints.start(tenant.streamer, "after_ack", "kill")
    tenant.streamer.wait_ready()
    # More than is read and stored from the first ack until the streamer has heard that it is to stop.
    rows = 100_000
    tenant.run(f"INSERT INTO tb_item SELECT generate_series(1, {rows})")
    assert tenant.streamer.wait(60) == -signal.SIGKILL
    tenant.wait_free()
    assert 0 < tenant.last_sequence() < rows
    changed.start(wait=False)
    stopped(changed, 73, "options_changed")
    # Also when the message that tells it is gone and the record speaks for it.
    failpoints.start(tenant.streamer, "after_ack", "terminate")
    assert tenant.streamer.wait(80) == 0
    tenant.wait_free()
    stored = tenant.last_sequence()
    assert stored < rows
    tenant.administrator.delete_message(tenant.name, stored)
    changed.start(wait=False)
    stopped(changed, 73, "options_changed")
    tenant.streamer.start()
    tenant.wait_stored(rows, seconds=120)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    changed.start()
    tenant.commit(rows + 1)
    tenant.wait_stored(rows + 1)
    tenant.wait_confirmed()
    assert changed.terminate() == 0
