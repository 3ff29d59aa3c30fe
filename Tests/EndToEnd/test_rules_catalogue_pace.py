"""A catalogue that answers slowly, question after question, while PostgreSQL waits for our statuses."""

import time
from contextlib import closing

from proxy import Proxy
from servers.tools import wait_until
from tenants import tenant_maker, tenants  # noqa: F401

# Each way: an answer comes within the two seconds that one question may take, a handful of them not within wal_sender_timeout's three.
_SECONDS = 0.8


def test_statuses_flow_while_the_catalogue_is_asked_again_and_again(pair, tenants):
    tenant = tenants(pair, setup=False)
    with closing(Proxy(tenant.postgres.port)) as proxy:
        slow = tenant.streamer = tenant.another(
            conninfo=tenant.conninfo.replace(f"port={tenant.postgres.port}", f"port={proxy.port}"))
        slow.setup()
        slow.start()
        tenant.commit(1)
        tenant.wait_stored(1)
        pid = tenant.holder()
        tenant.run("CREATE TYPE mood AS ENUM ('glad'); CREATE TYPE pair AS (a mood, b mood[]);"
                   f"CREATE TABLE tb_late (id INT PRIMARY KEY, p pair); ALTER PUBLICATION {tenant.name} ADD TABLE tb_late")
        proxy.slow_down(_SECONDS)
        tenant.run("INSERT INTO tb_late VALUES (1, '(glad,{glad})')")
        tenant.commit(2)
        tenant.wait_stored(3, seconds=60)
        assert tenant.holder() == pid, "the session did not live through its own questions"
        proxy.mend()
        assert slow.terminate() == 0


def test_one_question_may_take_longer_than_the_walsender_waits(pair, tenants):
    """Somebody else holds a lock on what is asked: a VACUUM FULL of the catalogue, say. Nothing but the streamer's question needs
    this one."""
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    pid = tenant.holder()
    tenant.run("CREATE TYPE mood AS ENUM ('glad'); CREATE TABLE tb_late (id INT PRIMARY KEY, m mood);"
               f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_late")
    with tenant.connect() as holding, holding.transaction():
        holding.execute("LOCK TABLE pg_catalog.pg_language IN ACCESS EXCLUSIVE MODE")
        tenant.run("INSERT INTO tb_late VALUES (1, 'glad')")
        asking = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'pg_language'::regclass"
        wait_until(lambda: tenant.value(asking), 20, "it waits for the lock")
        time.sleep(6)
    tenant.commit(2)
    tenant.wait_stored(3, seconds=60)
    assert tenant.holder() == pid, "the session did not live through its own question"
    assert tenant.streamer.terminate() == 0
