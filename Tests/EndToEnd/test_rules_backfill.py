"""What makes a backfill exact, one rule each: in a simpler program each of these loses a row, brings back an old one, or stands still."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import failpoints
from backfilling import SOON, finish, held, judged, let_go, old_rows, resume, runs, waiting_for_nobody
from servers.postgres import asking
from servers.tools import wait_until
from tenants import PATIENT, own, tenant_maker, tenants  # noqa: F401
from wraparound import stand_before

# A value that is stored outside of its row.
_LARGE = "repeat(md5('{}'), 400)"
_WAITS_FOR_US = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'tb_item'::regclass AND NOT granted"


def _walked(tenants, pair, count: int = 1_500, sql: str = "", **overrides):
    tenant = tenants(pair, setup=False, overrides=PATIENT | overrides)
    return tenant, old_rows(tenant, count, sql)


def _ran(tenant, *statements: str) -> None:
    """Each a transaction of its own."""
    with tenant.connect() as connection:
        for statement in statements:
            connection.execute(statement)


# Of two that meet

def test_what_is_written_while_a_chunk_is_in_hand_is_not_overwritten_by_it(pair, tenants):
    tenant, told = _walked(tenants, pair)
    run = held(told, "chunk_read", 3)
    _ran(tenant, "UPDATE tb_item SET note = 'new' WHERE n IN (5, 100, 1400)", "DELETE FROM tb_item WHERE n IN (6, 101, 1401)",
         "UPDATE tb_item SET n = n + 100000 WHERE n IN (7, 102, 1402)", "UPDATE tb_item SET note = 'again' WHERE n = 100",
         "BEGIN; DELETE FROM tb_item WHERE n = 103; INSERT INTO tb_item VALUES (103, 'reborn'); COMMIT",
         "BEGIN; UPDATE tb_item SET n = -1 WHERE n = 104; UPDATE tb_item SET n = 104 WHERE n = 105; UPDATE tb_item SET n = 105 WHERE n = -1; COMMIT",
         "BEGIN; UPDATE tb_item SET note = 'never' WHERE n = 106; ROLLBACK",
         "BEGIN; SAVEPOINT s; UPDATE tb_item SET note = 'inner' WHERE n = 107; RELEASE s; COMMIT",
         "INSERT INTO tb_item VALUES (9001, 'inserted')", "BEGIN; INSERT INTO tb_item VALUES (9002); DELETE FROM tb_item WHERE n = 9002; COMMIT")
    let_go(told)
    finish(tenant, run)


def test_a_transaction_that_wrote_before_a_chunk_and_commits_behind_it(pair, tenants):
    tenant, told = _walked(tenants, pair)
    with tenant.connect() as early, tenant.connect() as late:
        run = held(told, "chunk_read", 1)
        # Behind the clear ground: not shown to chunks two and three.
        early.execute("BEGIN; UPDATE tb_item SET note = 'early' WHERE n IN (2, 50, 200, 1400); INSERT INTO tb_item VALUES (5001)")
        late.execute("BEGIN; SAVEPOINT s; DELETE FROM tb_item WHERE n IN (3, 51, 201, 1401); RELEASE s; INSERT INTO tb_item VALUES (5002)")
        let_go(told)
        told.wait_read(400)
        early.execute("COMMIT")
        told.wait_done(run)
        late.execute("COMMIT")
    finish(tenant, run)


def test_what_was_prepared_across_a_chunk_is_told_where_it_commits(pair, tenants):
    tenant, told = _walked(tenants, pair)
    run = held(told, "chunk_read", 1)
    _ran(tenant, "BEGIN; UPDATE tb_item SET note = 'first' WHERE n IN (1, 60, 300)", f"PREPARE TRANSACTION '{tenant.name} 1'",
         "BEGIN; DELETE FROM tb_item WHERE n IN (2, 61, 301); INSERT INTO tb_item VALUES (5001)", f"PREPARE TRANSACTION '{tenant.name} 2'",
         f"COMMIT PREPARED '{tenant.name} 1'")
    let_go(told)
    told.wait_done(run)
    tenant.run(f"COMMIT PREPARED '{tenant.name} 2'")
    finish(tenant, run)


def test_a_commit_that_waits_for_a_standby_is_decoded_long_before_a_snapshot_shows_it(pair, own):
    """Its event is stored, chunks that do not show it follow; and it is not forgotten when the streamer is."""
    tenant, told = _walked(own, pair, 3_000)
    told.streamer.start()
    run = told.request("public.tb_item", options=["--rate", "300"])
    told.wait_read(20)
    _ran(tenant, "BEGIN; UPDATE tb_item SET note = 'prepared' WHERE n IN (4, 703, 1303)", f"PREPARE TRANSACTION '{tenant.name}'")
    statements = (f"COMMIT PREPARED '{tenant.name}'", "UPDATE tb_item SET note = 'unseen' WHERE n IN (1, 700, 1300)", "DELETE FROM tb_item WHERE n IN (2, 701, 1301)",
                  "UPDATE tb_item SET n = n + 100000 WHERE n IN (3, 702, 1302)", "INSERT INTO tb_item VALUES (5001, 'unseen')")
    with ThreadPoolExecutor(len(statements)) as clients:
        with waiting_for_nobody(tenant):
            before = tenant.last_sequence()
            commits = [clients.submit(tenant.run, statement) for statement in statements]
            told.wait_read(900)
            assert not any(commit.done() for commit in commits), "they wait for the standby"
            stored = [event for event in tenant.read() if event.sequence > before and event.subject.split(".")[-1] != "READ"]
            assert len(stored) >= 13, "they are published"
            assert tenant.value("SELECT count(*) FROM tb_item WHERE n = 2") == 1, "and nobody sees them"
            told.streamer.kill()
            tenant.wait_free()
            told.streamer.start()
            # It begins behind clear ground, which there is none of while they wait.
            why = told.wait_why("tb_item")
            assert any(str(pid) in why for pid in _waiting(tenant)), why
            assert told.state(run)[0] != "done"
        for commit in commits:
            commit.result(timeout=30)
    finish(tenant, run)


def _waiting(tenant) -> list[int]:
    with tenant.connect() as connection:
        return [pid for pid, in connection.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")]


def test_a_commit_that_a_crash_takes_back_is_never_published(single_pair, own):
    """PostgreSQL shows what is committed without waiting before it is on disk: the rows of a chunk wait for their WAL."""
    tenant = own(single_pair, setup=False, overrides=PATIENT)
    told = old_rows(tenant)
    # A walwriter that has just begun to sleep does not wake for ten seconds.
    tenant.postgres.run("ALTER SYSTEM SET wal_writer_delay = '10s'; ")
    tenant.postgres.run("SELECT pg_reload_conf()")
    for attempt in range(5):
        failpoints.start(told.streamer, "chunk_read", "stop", 3)
        told.streamer.wait_ready()
        with tenant.connect() as connection:
            connection.execute("SET synchronous_commit = off")
            connection.execute(f"UPDATE tb_item SET note = 'taken back {attempt}' WHERE n <= 80")
            connection.execute(f"INSERT INTO tb_item VALUES ({5_000 + attempt}, 'taken back')")
        run = told.request("public.tb_item")
        wait_until(lambda: failpoints.reached(told.streamer, "stop"), SOON, "chunks that show it are in hand, or wait for their place")
        tenant.postgres.stop("immediate")
        let_go(told)
        tenant.postgres.start()
        told.wait_done(run)
        tenant.wait_confirmed()
        judged(tenant)
        was_taken_back = tenant.value(f"SELECT count(*) FROM tb_item WHERE n = {5_000 + attempt}") == 0
        told.streamer.kill()
        tenant.wait_free()
        if was_taken_back:
            return
    raise AssertionError("PostgreSQL wrote it to disk each time")


def test_transaction_ids_that_wrap_around_are_compared_by_what_is_nearest(pair, own):
    tenant = own(pair, setup=False, overrides=PATIENT)
    stand_before(tenant.postgres, 2**32 - 300)
    told = old_rows(tenant)
    run = held(told, "chunk_read", 2)
    with tenant.connect() as before, tenant.connect() as after:
        before.execute("BEGIN; UPDATE tb_item SET note = 'before' WHERE n IN (5, 50, 1400); INSERT INTO tb_item VALUES (5001)")
        with tenant.connect() as connection:
            for n in range(60, 600):
                connection.execute("UPDATE tb_item SET note = 'around' WHERE n = %s", (n,))
        assert tenant.value("SELECT pg_current_xact_id()::text::bigint") > 2**32
        after.execute("BEGIN; UPDATE tb_item SET note = 'after' WHERE n IN (6, 51, 1401); DELETE FROM tb_item WHERE n = 52")
        let_go(told)
        told.wait_read(300)
        before.execute("COMMIT")
        told.wait_done(run)
        after.execute("COMMIT")
    finish(tenant, run)


def test_a_writer_whose_first_change_came_before_the_table_was_published_is_waited_for_by_name(pair, tenants):
    """Its transaction is younger than the one that publishes the table, and its row is in no event: decoded by the catalogue of its beginning."""
    tenant = tenants(pair, overrides=PATIENT)
    tenant.run("CREATE TABLE tb_late (n BIGINT PRIMARY KEY, note TEXT)")
    tenant.run("INSERT INTO tb_late SELECT n, 'old' FROM generate_series(1, 50) AS n")
    tenant.streamer.start()
    with tenant.connect() as publishing, tenant.connect() as writing:
        publishing.execute(f"BEGIN; ALTER PUBLICATION {tenant.name} ADD TABLE tb_late")
        writing.execute("BEGIN; INSERT INTO tb_late VALUES (1001, 'between'); UPDATE tb_late SET note = 'between' WHERE n = 7")
        publishing.execute("COMMIT")
        told = runs(tenant)
        run = told.request("public.tb_late")
        why = told.wait_why(str(writing.info.backend_pid))
        assert "tb_late" in why and told.read() == 0, why
        tenant.run("INSERT INTO tb_late VALUES (1002, 'after')")
        writing.execute("COMMIT")
    judge = finish(tenant, run, "public.tb_late")
    assert judge.read >= 50


def test_a_holder_of_another_table_or_database_is_not_waited_for(pair, tenants):
    tenant, told = _walked(tenants, pair, 200, "CREATE TABLE tb_other (n INT PRIMARY KEY)")
    other = tenants(pair)
    with tenant.connect() as elsewhere, other.connect() as idle, tenant.connect() as reading:
        _ran(tenant, "BEGIN; INSERT INTO tb_other VALUES (1)", f"PREPARE TRANSACTION '{tenant.name}'")
        elsewhere.execute("BEGIN; INSERT INTO tb_other VALUES (2)")
        idle.execute("BEGIN; INSERT INTO tb_item VALUES (1)")
        reading.execute("BEGIN; SELECT count(*) FROM tb_item")
        told.streamer.start()
        run = told.request("public.tb_item")
        told.wait_done(run)
        tenant.run(f"ROLLBACK PREPARED '{tenant.name}'")
    finish(tenant, run)


def test_a_prepared_transaction_on_the_table_is_waited_for_by_name(pair, tenants):
    tenant, told = _walked(tenants, pair, 200)
    _ran(tenant, "BEGIN; UPDATE tb_item SET note = 'prepared' WHERE n = 9", f"PREPARE TRANSACTION 'kept by {tenant.name}'")
    told.streamer.start()
    run = told.request("public.tb_item")
    told.wait_why(f"kept by {tenant.name}")
    assert told.read() == 0
    tenant.run(f"COMMIT PREPARED 'kept by {tenant.name}'")
    finish(tenant, run)


# What is changed under it

_REWRITES = {
    "type": ("ALTER TABLE tb_item ALTER n TYPE NUMERIC",), "volatile default": ("ALTER TABLE tb_item ADD c FLOAT DEFAULT random()",),
    "frozen": ("TRUNCATE tb_item", "COPY tb_item FROM STDIN FREEZE"), "cluster": ("CLUSTER tb_item USING tb_item_pkey",),
}


@pytest.mark.parametrize("rewrite", _REWRITES)
def test_a_chunk_that_waits_behind_a_rewrite_reads_what_is_there_then(pair, tenants, rewrite):
    """A snapshot from before it shows no row of the new file, or rows that it should not."""
    tenant, told = _walked(tenants, pair)
    run = held(told, "chunk_read", 3)
    with tenant.connect() as connection:
        connection.execute("BEGIN")
        for statement in _REWRITES[rewrite]:
            if statement.startswith("COPY"):
                with connection.cursor().copy(statement) as copy:
                    for number in range(1, 700):
                        copy.write_row((number, f"copied {number}"))
            else:
                connection.execute(statement)
        let_go(told)
        # Decoding waits for no lock.
        with asking(tenant.connect) as ask:
            wait_until(lambda: ask(_WAITS_FOR_US), SOON, "a chunk waits for the table")
        connection.execute("COMMIT")
    judge = finish(tenant, run)
    if rewrite != "frozen":
        assert judge.runs[0].restarts, "the table begins anew"


_CHANGES = {
    "fast default": "ALTER TABLE tb_mood ADD c INT DEFAULT 7", "dropped column": "ALTER TABLE tb_mood DROP note",
    "enum relabelled": "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'", "identity": "ALTER TABLE tb_mood REPLICA IDENTITY FULL",
    "column list": "ALTER PUBLICATION {name} SET TABLE tb_mood (n, note)", "filter": "ALTER PUBLICATION {name} SET TABLE tb_mood WHERE (n > -1)",
    "renamed column": "ALTER TABLE tb_mood RENAME note TO remark", "vacuum full": "VACUUM FULL tb_mood",
}


@pytest.mark.parametrize("change", _CHANGES)
def test_a_table_that_is_changed_in_its_midst_begins_anew(pair, tenants, change):
    """Old rows look otherwise from then on, and no event says so."""
    tenant = tenants(pair, setup=False, overrides=PATIENT | {"source": {"tables": ["public.tb_mood"]}})
    tenant.run("DROP TABLE tb_item; CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TABLE tb_mood (n BIGINT PRIMARY KEY, note TEXT, mood mood)")
    tenant.run("INSERT INTO tb_mood SELECT n, 'note ' || n || repeat('.', 150), CASE n % 2 WHEN 0 THEN 'glad' ELSE 'sad' END::mood FROM generate_series(1, 900) AS n")
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_mood" + (" WHERE (n > 40)" if change == "filter" else ""))
    tenant.streamer.setup()
    told = runs(tenant)
    run = held(told, "chunk_read", 3, ["public.tb_mood"])
    tenant.run(_CHANGES[change].format(name=tenant.name))
    tenant.run("UPDATE tb_mood SET mood = 'glad' WHERE n IN (50, 100, 800)")
    let_go(told)
    judge = finish(tenant, run)
    assert [told["table"] for told in judge.runs[0].restarts] == ["public.tb_mood"] and judge.runs[0].restarts[0]["why"]


@pytest.mark.parametrize("behind", ["nothing", "rows"])
def test_a_truncate_in_its_midst_ends_the_table(pair, tenants, behind):
    tenant, told = _walked(tenants, pair)
    run = held(told, "chunk_read", 3)
    tenant.run("TRUNCATE tb_item")
    if behind == "rows":
        tenant.run("INSERT INTO tb_item SELECT n, 'after' FROM generate_series(50, 900) AS n")
        tenant.run("UPDATE tb_item SET note = 'later' WHERE n % 100 = 0")
    let_go(told)
    finish(tenant, run)


_GONE = {
    "dropped": "DROP TABLE tb_mood", "renamed": "ALTER TABLE tb_mood RENAME TO tb_temper", "moved": "CREATE SCHEMA other; ALTER TABLE tb_mood SET SCHEMA other",
    "taken out of the publication": "ALTER PUBLICATION {name} DROP TABLE tb_mood", "without a key": "ALTER TABLE tb_mood DROP CONSTRAINT tb_mood_pkey",
    "made anew": "DROP TABLE tb_mood; CREATE TABLE tb_mood (n BIGINT PRIMARY KEY); ALTER PUBLICATION {name} ADD TABLE tb_mood; INSERT INTO tb_mood VALUES (1)",
}


@pytest.mark.parametrize("gone", _GONE)
def test_a_table_that_is_gone_in_its_midst_ends_its_part_and_nothing_else(pair, tenants, gone):
    """Whoever asked is told by name; the other tables are read, by this run or the next, and the stream goes on."""
    tenant, told = _walked(tenants, pair, 300, "CREATE TABLE tb_mood (n BIGINT PRIMARY KEY, note TEXT); INSERT INTO tb_mood SELECT n, repeat('.', 150) FROM generate_series(1, 900) AS n; "
                                               "CREATE TABLE tb_zoo (n BIGINT PRIMARY KEY); INSERT INTO tb_zoo VALUES (1), (2)")
    # tb_item has three chunks.
    run = held(told, "chunk_read", 6, ["public.tb_*"])
    assert any(event.subject.endswith(".Mood.READ") for event in tenant.read())
    for statement in _GONE[gone].format(name=tenant.name).split("; "):
        tenant.run(statement)
    let_go(told)
    wait_until(lambda: told.state(run)[0] in ("done", "failed"), SOON, f"it ends, or says why not: {told.streamer.log}")
    state, why = told.state(run)
    if gone in ("dropped", "renamed", "moved", "taken out of the publication"):
        assert state == "done" and "not read to the end" in why and why.endswith(": public.tb_mood"), (state, why)
        assert "not whole" in told.streamer.command("backfill", "--wait", str(run), expect=1).stderr
    if gone == "made anew":
        assert (state, why) == ("done", "") and any(event.json["entity"] == {"n": 1} for event in tenant.read() if event.subject.endswith(".Mood.READ"))
    tenant.run("INSERT INTO tb_item VALUES (1001, 'live')")
    tenant.wait_confirmed()
    if state == "failed":
        assert "tb_mood" in why, why
        told.streamer.command("backfill", "--cancel", str(run))
        wait_until(lambda: told.state(run)[0] == "cancelled", SOON, "it is given up")
        run = told.request("public.tb_item", "public.tb_zoo")
        told.wait_done(run)
        tenant.wait_confirmed()
    judged(tenant, "public.tb_item", "public.tb_zoo")


def test_a_run_whose_only_table_is_gone_is_given_up(pair, tenants):
    tenant, told = _walked(tenants, pair, 900)
    run = held(told, "chunk_read", 3)
    tenant.run("ALTER TABLE tb_item RENAME TO elsewhere")
    let_go(told)
    why = told.wait_state(run, "cancelled")
    assert "not read to the end" in why and why.endswith(": public.tb_item"), why


def test_a_table_that_takes_the_place_of_the_one_that_is_read_is_read(pair, tenants):
    """As tools change a table of which nobody may wait: a copy is filled, and takes the name."""
    tenant, told = _walked(tenants, pair, 900)
    run = held(told, "chunk_read", 3)
    _ran(tenant, "CREATE TABLE copy (LIKE tb_item INCLUDING ALL)", "INSERT INTO copy SELECT n, 'of the copy' FROM tb_item",
         f"BEGIN; ALTER TABLE tb_item RENAME TO former; ALTER TABLE copy RENAME TO tb_item; ALTER PUBLICATION {tenant.name} DROP TABLE former; "
         f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_item; COMMIT")
    let_go(told)
    assert finish(tenant, run).read >= 900
    assert told.state(run) == ("done", "")


# Large values that are not sent

def _documents(tenants, pair, condition: str = ""):
    tenant = tenants(pair, setup=False, overrides=PATIENT | {"source": {"tables": ["public.tb_document"]}})
    tenant.run("DROP TABLE tb_item; CREATE TABLE tb_document (id BIGINT, state TEXT, note TEXT, big TEXT, PRIMARY KEY (id, state)); "
               "ALTER TABLE tb_document ALTER big SET STORAGE EXTERNAL")
    # Blocks of about forty rows, of which the first have room.
    tenant.run(f"INSERT INTO tb_document SELECT n, CASE WHEN n % 10 = 0 THEN 'hidden' ELSE 'open' END, repeat('n', 120), {_LARGE.format('x')} || n "
               "FROM generate_series(1, 900) AS n")
    tenant.run("DELETE FROM tb_document WHERE id <= 30")
    tenant.run("VACUUM tb_document")
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_document {condition}")
    tenant.streamer.setup()
    return tenant, runs(tenant)


def _block(tenant, identity: int) -> int:
    return tenant.value("SELECT (ctid::text::point)[0]::int FROM tb_document WHERE id = %s", (identity,))


_UNTOUCHED = {
    "moved to a block that was passed": "UPDATE tb_document SET note = repeat('m', 200) WHERE id IN ({ids})",
    "key changed": "UPDATE tb_document SET id = id + 100000 WHERE id IN ({ids})",
    "came into the filter": "UPDATE tb_document SET state = 'open' WHERE id IN ({hidden})",
    "twice, and gone": "UPDATE tb_document SET note = repeat('m', 200) WHERE id IN ({ids}); UPDATE tb_document SET note = 'again' WHERE id IN ({ids}); "
                       "DELETE FROM tb_document WHERE id = 777",
}


@pytest.mark.parametrize("end", ["goes on", "is killed"])
@pytest.mark.parametrize("untouched", _UNTOUCHED)
def test_a_row_of_which_an_event_left_out_a_large_value_is_read_again(pair, tenants, untouched, end):
    tenant, told = _documents(tenants, pair, "WHERE (state <> 'hidden')" if "filter" in untouched else "")
    run = held(told, "chunk_read", 3, ["public.tb_document"])
    # Of rows that were read, that are in hand, and that are to come.
    statement = _UNTOUCHED[untouched].format(ids="45, 60, 200, 777, 778, 850", hidden="50, 60, 200, 780, 850")
    tenant.run(statement)
    if "passed" in untouched:
        assert _block(tenant, 777) < 3, "it stands where the walk was"
    if end == "is killed":
        # The chunk in hand is lost, the events are stored by the next one, and what it has noted is lost once more.
        let_go(told)
        wait_until(lambda: any(event.subject.endswith((".UPDATE", ".INSERT")) for event in tenant.events()), SOON, "an event is stored", 0.01)
        told.streamer.kill()
        tenant.wait_free()
        told.streamer.start()
    else:
        let_go(told)
    finish(tenant, run)


def test_what_is_to_be_read_again_outlives_a_pause_and_a_kill(pair, tenants):
    """The only event of these rows' is confirmed before anybody reads on."""
    tenant, told = _documents(tenants, pair)
    told.streamer.start()
    run = told.request("public.tb_document", options=["--rate", "150"])
    told.wait_read(40)
    told.streamer.command("backfill", "--pause", str(run))
    told.wait_state(run, "paused")
    tenant.run("UPDATE tb_document SET note = repeat('m', 200) WHERE id IN (45, 600, 850); UPDATE tb_document SET id = 100000 WHERE id = 700")
    tenant.wait_confirmed()
    told.streamer.kill()
    tenant.wait_free()
    told.streamer.start()
    tenant.run("UPDATE tb_document SET note = repeat('k', 200) WHERE id = 800")
    tenant.wait_confirmed()
    resume(told, run)
    finish(tenant, run)


def test_many_large_values_are_read_and_read_again_in_bounded_memory(pair, tenants):
    """A hundred megabytes, of which no chunk may have more than a part in hand."""
    tenant = tenants(pair, setup=False, overrides=PATIENT | {"source": {"tables": ["public.tb_document"]}})
    tenant.run("CREATE TABLE tb_document (id BIGINT PRIMARY KEY, note TEXT, big TEXT); ALTER TABLE tb_document ALTER big SET STORAGE EXTERNAL")
    tenant.run("INSERT INTO tb_document SELECT n, 'n', repeat(md5(n::text), 8000) FROM generate_series(1, 400) AS n")
    tenant.streamer.setup()
    told = runs(tenant)
    run = held(told, "chunk_read", 3, ["public.tb_document"])
    tenant.run("UPDATE tb_document SET note = 'large value untouched'")
    let_go(told)
    told.wait_done(run)
    tenant.wait_confirmed()
    assert judged(tenant, is_large=True).read >= 400
    assert told.streamer.peak_memory() < 64 * 2**20, f"{told.streamer.peak_memory() / 2**20:.0f} MiB"


# Tables of other shapes

@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 81, 1_237])
def test_a_table_of_any_size_is_read_to_its_last_row(pair, tenants, count):
    tenant, told = _walked(tenants, pair, count, "CREATE TABLE tb_gone (n INT PRIMARY KEY); INSERT INTO tb_gone SELECT generate_series(1, 500)")
    tenant.run("DELETE FROM tb_gone")
    told.streamer.start()
    run = told.request("public.*")
    judge = finish(tenant, run)
    assert judge.read == count and sorted(name for name, _, _ in judge.runs[0].finished) == ["public.tb_gone", "public.tb_item"]


def test_equal_rows_without_a_key_are_as_many_as_there_are(pair, own):
    """A commit that no snapshot shows yet: of two equal rows one would come with the others, and once more by its event."""
    tenant = own(pair, setup=False, overrides=PATIENT)
    tenant.run("CREATE TABLE tb_tag (label TEXT); ALTER TABLE tb_tag REPLICA IDENTITY FULL; INSERT INTO tb_tag SELECT 'tag ' || n % 3 FROM generate_series(1, 90) AS n")
    tenant.streamer.setup()
    told = runs(tenant)
    told.streamer.start()
    statement = "UPDATE tb_tag SET label = 'other' WHERE ctid = (SELECT ctid FROM tb_tag WHERE label = 'tag 1' LIMIT 1)"
    with ThreadPoolExecutor(1) as client:
        with waiting_for_nobody(tenant):
            commit = client.submit(tenant.run, statement)
            tenant.wait_stored(1)
            run = told.request("public.tb_tag")
            told.wait_why("tb_tag")
            assert told.read() == 0
        commit.result(timeout=30)
    tenant.run("INSERT INTO tb_tag VALUES ('tag 1'), ('tag 1')")
    judge = finish(tenant, run)
    assert judge.read == 90 or judge.read == 92


_PARTS = """
CREATE TABLE tb_part (n BIGINT, region INT, note TEXT, PRIMARY KEY (n, region)) PARTITION BY LIST (region);
CREATE TABLE part_0 PARTITION OF tb_part FOR VALUES IN (0); CREATE TABLE part_1 PARTITION OF tb_part FOR VALUES IN (1);
CREATE TABLE part_2 (n BIGINT, region INT, note TEXT, PRIMARY KEY (n, region));
INSERT INTO tb_part SELECT n, n % 2, repeat('.', 150) FROM generate_series(1, 900) AS n; INSERT INTO part_2 SELECT n, 2, 'attached' FROM generate_series(1, 300) AS n
"""


def test_a_partition_that_is_attached_in_its_midst_is_read_and_one_that_is_detached_is_not_missed(pair, tenants):
    tenant, told = _walked(tenants, pair, 0, _PARTS)
    run = held(told, "chunk_read", 3, ["public.tb_part"])
    tenant.run("ALTER TABLE tb_part ATTACH PARTITION part_2 FOR VALUES IN (2)")
    tenant.run("UPDATE tb_part SET region = 1 - region WHERE n IN (5, 150, 500) AND region < 2; UPDATE tb_part SET region = 0 WHERE n = 251 AND region = 2")
    # Its rows are deleted before, as whoever wants consumers to know does it.
    tenant.run("DELETE FROM part_1; ALTER TABLE tb_part DETACH PARTITION part_1")
    let_go(told)
    judge = finish(tenant, run)
    assert {"public.part_0", "public.part_2"} <= {partition for _, partition, _ in judge.runs[0].finished}


# The place

def _stand_behind_a_page_header(connection) -> int:
    """Writes WAL up to the end of a page, so that the insert position stands right behind the next page's header."""
    for _ in range(200):
        at = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()[0]
        left = 8192 - at % 8192
        # A record of a message is so long besides its content, and lengths are multiples of eight; it must not end in another page's header.
        size = left - 64 if left > 200 else left + 8192 - 24 - 64
        connection.execute("SELECT pg_logical_emit_message(false, 'filler', repeat('x', greatest(1, %s)))", (size - size % 8,))
        at = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()[0]
        if at % 8192 in (24, 40):
            return at
    raise AssertionError(f"the insert position stands at {at % 8192} of its page")


def test_a_chunk_that_is_read_right_behind_a_page_header_is_placed_though_the_server_is_idle(pair, own):
    """No walsender ever says that it has come there."""
    tenant = own(pair, setup=False, overrides=PATIENT)
    told = old_rows(tenant, 300)
    _ran(tenant, "VACUUM (FREEZE) tb_item", "CHECKPOINT")
    for _ in range(4):
        run = held(told, "table_tracked")
        with tenant.connect() as connection:
            at = _stand_behind_a_page_header(connection)
            let_go(told)
            told.wait_done(run)
            now = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()[0]
        told.streamer.kill()
        tenant.wait_free()
        # PostgreSQL itself writes some now and then.
        if now == at:
            break
    else:
        raise AssertionError("somebody wrote WAL each time")
    told.streamer.start()
    assert finish(tenant, run).read % 300 == 0


def test_rows_do_not_wait_for_a_large_transaction_that_commits_behind_them(pair, tenants):
    tenant, told = _walked(tenants, pair, 1_500, "CREATE TABLE tb_other (n INT PRIMARY KEY, note TEXT)")
    with tenant.connect() as connection:
        connection.execute("BEGIN; INSERT INTO tb_other SELECT n, 'large' FROM generate_series(1, 200000) AS n; UPDATE tb_item SET note = 'large' WHERE n = 100")
        # Of the table itself: it is waited for.
        connection.execute("ROLLBACK")
        connection.execute("BEGIN; INSERT INTO tb_other SELECT n, 'large' FROM generate_series(1, 200000) AS n")
        run = held(told, "chunk_read", 1)
        connection.execute("COMMIT")
    let_go(told)
    told.wait_done(run, 300)
    tenant.wait_confirmed(300)
    events = tenant.read()
    first = next(event.sequence for event in events if "transaction" in event.json)
    assert sum(event.sequence < first and event.subject.endswith(".READ") for event in events) >= 16, "the chunk in hand stands before it"
    judged(tenant, "public.tb_item")
    assert told.streamer.peak_memory() < 64 * 2**20


def test_a_large_transaction_on_the_table_itself_that_waits_for_a_standby_is_bounded(pair, own):
    tenant, told = _walked(own, pair, 1_500)
    told.streamer.start()
    run = told.request("public.tb_item", options=["--rate", "300"])
    told.wait_read(20)
    with ThreadPoolExecutor(1) as client:
        with waiting_for_nobody(tenant):
            commit = client.submit(tenant.run, "INSERT INTO tb_item SELECT n, 'large' FROM generate_series(10000, 210000) AS n; UPDATE tb_item SET note = 'l' WHERE n < 1500")
            tenant.wait_stored(200_000, 300)
        commit.result(timeout=60)
    told.wait_done(run, 300)
    tenant.wait_confirmed(300)
    judged(tenant)
    assert told.streamer.peak_memory() < 96 * 2**20
