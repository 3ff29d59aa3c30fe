"""The database action, under a role of its own; and observers that stand in FraiseQL's table `tb_observer`, reread when it changes."""

import json
import shutil
import tempfile
import urllib.error
from pathlib import Path

import pytest

from places import place, place_maker, places  # noqa: F401
from servers.postgres import Postgres
from servers.tools import wait_until
from worker import QUICK_RETRY, observer

# The columns of FraiseQL's table that a worker reads, as its migration makes them.
_TB_OBSERVER = """
CREATE TABLE tb_observer (
    pk_observer BIGSERIAL PRIMARY KEY,
    id UUID NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    entity_type VARCHAR(255),
    event_type VARCHAR(50) CHECK (event_type IN ('INSERT', 'UPDATE', 'DELETE', 'CUSTOM')),
    condition_expression TEXT,
    actions JSONB NOT NULL DEFAULT '[]',
    enabled BOOLEAN NOT NULL DEFAULT true,
    priority INTEGER NOT NULL DEFAULT 100,
    retry_config JSONB NOT NULL DEFAULT '{"max_attempts": 3, "backoff": "exponential", "initial_delay_ms": 1000}',
    timeout_ms INTEGER NOT NULL DEFAULT 30000,
    fk_customer_org BIGINT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at TIMESTAMPTZ
)"""

# A role that may do nothing but call one function, which notes what it was called with.
_ROLE = """
CREATE ROLE worker LOGIN;
CREATE TABLE note (at SERIAL PRIMARY KEY, who TEXT DEFAULT session_user, called JSONB);
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO worker;
CREATE FUNCTION app.take(argument JSONB) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO note (called) VALUES (argument)';
CREATE FUNCTION app.closed(argument JSONB) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO note (called) VALUES (argument)';
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA app FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.take TO worker;
CREATE SEQUENCE tries;
CREATE FUNCTION app.torn(argument JSONB) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    IF nextval('tries') < 3 THEN RAISE SQLSTATE '40001' USING MESSAGE = 'could not serialize'; END IF;
    INSERT INTO note (called) VALUES (argument); END $$;
CREATE FUNCTION app.wrong(argument JSONB) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    RAISE EXCEPTION 'no such customer %', argument->'event'->'data'->>'id'; END $$;
GRANT EXECUTE ON FUNCTION app.torn, app.wrong TO worker;
"""


@pytest.fixture(scope="module")
def databases():
    """PostgreSQL by version, each with a role for the worker; started when first asked for."""
    made: dict[str, Postgres] = {}
    folder = Path(tempfile.mkdtemp(prefix="slotstream-observer-"))
    folder.chmod(0o755)

    def get(version: str) -> Postgres:
        if version not in made:
            made[version] = Postgres(version, folder / version)
            made[version].create()
            made[version].run(_ROLE)
        return made[version]

    yield get
    for postgres in made.values():
        postgres.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(databases, pair):
    """The pair's PostgreSQL, with nothing noted and no observers."""
    postgres = databases(pair.postgres)
    postgres.run("DROP TABLE IF EXISTS tb_observer; TRUNCATE note; ALTER SEQUENCE tries RESTART")
    return postgres


def _url(postgres: Postgres, role: str = "worker") -> str:
    return postgres.conninfo.replace("user=postgres", f"user={role}")


def _started(place, postgres: Postgres, function: str, params=None, **more):
    action = {"type": "database", "function_name": function} | ({"params": params} if params is not None else {})
    return place.started({"call": observer(action, **more)}, {"observer_worker": {"database_url": _url(postgres)}})


def _notes(postgres: Postgres) -> list[tuple[str, dict]]:
    with postgres.connect() as connection:
        return connection.execute("SELECT who, called FROM note ORDER BY at").fetchall()


# The action


def test_a_function_is_called_with_the_event_and_the_params(place, database):
    _started(place, database, "app.take", {"queue": "mail", "level": 3})
    order = place.order(more={"note": "it's \\ \"quoted\" $1 ; DROP TABLE note"})
    place.wait_idle()
    ((who, called),) = _notes(database)
    assert who == "worker" and set(called) == {"event", "params"} and called["params"] == {"queue": "mail", "level": 3}
    event = called["event"]
    assert (event["id"], event["event_type"], event["entity_type"], event["entity_id"], event["data"]) == (
        order.id, "INSERT", "Order", order.entity_id, order.row), event
    assert not place.stream.dead()


def test_without_params_they_are_null(place, database):
    _started(place, database, "app.take")
    place.publish(20)
    place.wait_idle()
    assert [called["params"] for _, called in _notes(database)] == [None] * 20


@pytest.mark.parametrize(("function", "told"), [
    ("app.closed", "permission denied"), ("app.missing", "does not exist"), ("app.wrong", "no such customer")])
def test_what_postgresql_refuses_is_a_dead_letter(place, database, function, told):
    _started(place, database, function)
    order = place.order()
    (letter,) = place.wait_dead(1)
    place.wait_idle()
    assert told in letter["error"] and letter["action"] == {"index": 0, "type": "database"} and letter["event_id"] == order.id, letter
    assert letter["reason"] == "permanent" or function == "app.wrong", letter
    assert not _notes(database)


def test_what_postgresql_may_do_next_time_is_tried_again(place, database):
    _started(place, database, "app.torn")
    place.order()
    place.wait_idle()
    assert len(_notes(database)) == 1 and not place.stream.dead()


def test_a_postgresql_that_was_away_is_waited_for(place, database):
    worker = _started(place, database, "app.take", retry=QUICK_RETRY | {"max_attempts": 1000, "max_delay_ms": 500})
    place.order()
    place.wait_idle()
    database.stop("immediate")
    place.order()
    wait_until(lambda: worker.metric("fraiseql_observer_events_retried_total") > 0, 30, "it has tried again")
    database.start()
    place.wait_idle()
    assert len(_notes(database)) == 2 and not place.stream.dead()


@pytest.mark.parametrize("name", ["app.take(); DROP TABLE note; --", "take\"", "app.take;", "", "a.b.c", "1take"])
def test_a_function_is_named_and_nothing_else(place, database, name):
    worker = place.worker({"call": observer({"type": "database", "function_name": name})}, {"observer_worker": {"database_url": _url(database)}})
    done = worker.command("check", expect=78)
    assert "function_name" in done.stderr + done.stdout


# tb_observer


def _hook(place, path: str) -> str:
    return json.dumps([{"type": "webhook", "url": place.receiver.url(path)}])


def _add(postgres: Postgres, name: str, actions: str, **columns) -> None:
    names = ["name", "actions", *columns]
    with postgres.connect() as connection:
        places_of = ", ".join(["%s"] * len(names))
        connection.execute(f"INSERT INTO tb_observer ({', '.join(names)}) VALUES ({places_of})", (name, actions, *columns.values()))


@pytest.fixture
def table(database):
    """FraiseQL's table, which the worker may read."""
    database.run(_TB_OBSERVER)
    database.run("GRANT SELECT ON tb_observer TO worker")
    return database


def _watching(place, postgres: Postgres, observers: dict | None = None, **options):
    return place.started(observers or {}, {"observer_worker": {"database": True, "database_url": _url(postgres)}}, **options)


def _paths(place) -> list[str]:
    return [arrival.path for arrival in place.receiver.arrivals()]


def test_observers_stand_in_the_table(place, table):
    _add(table, "all", _hook(place, "/all"))
    _add(table, "orders", _hook(place, "/orders"), entity_type="Order", event_type="UPDATE", priority=5)
    _add(table, "paid", _hook(place, "/paid"), entity_type="Order", condition_expression="status == 'paid'")
    _add(table, "off", _hook(place, "/off"), enabled=False)
    _add(table, "gone", _hook(place, "/gone"), deleted_at="2026-01-01")
    worker = _watching(place, table, {"file": observer({"type": "webhook", "url": place.receiver.url("/file")}, entity="User")})
    for order in ({"operation": "UPDATE", "changes": {}}, {"entity": "User"}, {"more": {"status": "paid"}}):
        place.order(**order)
        place.wait_idle()
    # Without an event type it is for INSERT, as in FraiseQL's server, and that is told.
    assert _paths(place) == ["/orders", "/all", "/file", "/all", "/paid"]
    told = [entry for entry in worker.log_entries() if entry["level"] in ("notice", "warning") and "INSERT" in json.dumps(entry)]
    assert told, "that no event_type means INSERT is told"


def test_the_table_is_reread_when_it_changes(place, table):
    _add(table, "one", _hook(place, "/one"))
    _watching(place, table)
    place.order()
    place.wait_idle()
    assert _paths(place) == ["/one"]

    def now() -> set[str]:
        """What one more event does."""
        before = len(_paths(place))
        place.order()
        place.wait_idle()
        return set(_paths(place)[before:])

    _add(table, "two", _hook(place, "/two"))
    wait_until(lambda: now() == {"/one", "/two"}, 60, "the second one is read", 0.2)
    table.run("UPDATE tb_observer SET enabled = false, updated_at = now() WHERE name = 'one'")
    wait_until(lambda: now() == {"/two"}, 60, "the first one is off", 0.2)
    table.run("UPDATE tb_observer SET actions = '" + _hook(place, "/three") + "' WHERE name = 'two'")
    wait_until(lambda: now() == {"/three"}, 60, "the second one is another", 0.2)
    table.run("DELETE FROM tb_observer")
    wait_until(lambda: now() == set(), 60, "none is left", 0.2)


def test_a_mistake_in_the_table_is_told_at_the_start_with_all_others(place, table):
    _add(table, "unknown", '[{"type": "teleport"}]')
    _add(table, "refused", '[{"type": "sms", "phone": "1"}]')
    _add(table, "empty", "[]", condition_expression="status ==")
    worker = place.worker({}, {"observer_worker": {"database": True, "database_url": _url(table)}})
    done = worker.command("check", expect=None)
    said = done.stdout + done.stderr
    assert done.returncode in (1, 78), done
    for name in ("unknown", "refused", "empty", "teleport", "sms"):
        assert name in said, said


def test_a_mistake_that_comes_later_is_told_and_hurts_nobody(place, table):
    _add(table, "good", _hook(place, "/good"))
    worker = _watching(place, table)
    _add(table, "bad", '[{"type": "teleport"}]')
    wait_until(lambda: [entry for entry in worker.log_entries() if entry["level"] in ("warning", "error") and "teleport" in json.dumps(entry)], 60,
               "it is told")
    place.order()
    place.wait_idle()
    assert _paths(place) == ["/good"] and worker.running


def test_a_table_that_is_not_there_or_not_readable_is_told(place, database):
    overrides = {"observer_worker": {"database": True, "database_url": _url(database)}}
    done = place.worker({}, overrides).command("check", expect=None)
    assert done.returncode != 0 and "tb_observer" in done.stdout + done.stderr
    database.run(_TB_OBSERVER)
    _add(database, "all", _hook(place, "/all"))
    worker = place.worker({}, overrides)
    worker.start(wait=False)
    order = place.order()
    wait_until(lambda: "tb_observer was not read yet" in worker.last_words(), 30, "it says what it waits for")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        worker.get("/readyz")
    assert "tb_observer was not read yet" in refusal.value.read().decode()
    # Nobody knows yet whom an event is for: none was acknowledged.
    database.run("GRANT SELECT ON tb_observer TO worker")
    worker.wait_ready(60)
    place.wait_idle()
    assert [arrival.key for arrival in place.receiver.arrivals()] == [order.id]


def test_a_row_that_has_a_mistake_now_goes_on_as_it_was(place, table):
    _add(table, "all", _hook(place, "/all"))
    worker = _watching(place, table)
    place.order()
    place.wait_idle()
    table.run("UPDATE tb_observer SET condition_expression = 'status =='")
    wait_until(lambda: "has a mistake now" in worker.last_words(), 60, "the row is told")
    place.order()
    place.wait_idle()
    assert _paths(place) == ["/all", "/all"]

def test_the_password_of_the_database_is_shown_nowhere(place, database):
    database.run("ALTER ROLE worker PASSWORD 'hidden-Pa55'")
    worker = place.started({"call": observer({"type": "database", "function_name": "app.take"})},
                           {"observer_worker": {"database_url": f"{_url(database)} password=hidden-Pa55"}})
    place.order()
    place.wait_idle()
    said = worker.command("check", expect=None)
    assert "hidden-Pa55" not in worker.log.read_text() + said.stdout + said.stderr + worker.get("/status") + worker.get("/metrics")
