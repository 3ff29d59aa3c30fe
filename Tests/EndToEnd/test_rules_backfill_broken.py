"""A run that is broken off, by a kill at each moment inside it, by connections that break, by others on the prefix, by lost history: it goes on, or says
that it does not."""

import shutil
import signal

import pytest

import failpoints
from backfilling import SOON, ask, finish, judged, markers, old_rows, prepared, resume, runs
from proxy import Proxy
from servers.tools import wait_until
from tenants import PATIENT, own, tenant_maker, tenants  # noqa: F401
from windows import WINDOW, started

@pytest.mark.parametrize("action", ["kill", "terminate"])
@pytest.mark.parametrize("point", failpoints.BACKFILLING)
def test_a_run_that_is_broken_off_goes_on_and_sends_no_row_twice(pair, tenants, point, action):
    tenant, told = prepared(tenants, pair, 900)
    run = told.request("public.tb_item")
    for number in (1, 2, 3, 4) if point != "table_tracked" else (1,):
        failpoints.start(told.streamer, point, action, 1 if number % 2 else 2)
        wait_until(lambda: failpoints.reached(told.streamer, action) or told.state(run)[0] == "done", SOON, f"{point} is reached: {told.streamer.log}")
        tenant.run(f"UPDATE tb_item SET note = 'broken off' WHERE n IN (5, 100, 800 + {number}); DELETE FROM tb_item WHERE n IN ({number}, 200 + {number})")
        # The run may be over before its chunks were so many.
        if failpoints.reached(told.streamer, action):
            assert told.streamer.wait(80) == (0 if action == "terminate" else -signal.SIGKILL)
        else:
            assert told.streamer.terminate() == 0
        tenant.wait_free()
    told.streamer.start()
    judge = finish(tenant, run)
    assert len(judge.runs) == 1 and not judge.runs[0].restarts


_BREAKS = ("its connection breaks", "it is paused", "the table is rewritten")


@pytest.mark.parametrize("what", _BREAKS)
def test_what_was_in_hand_when_it_was_broken_off_is_read_again_whole(pair, tenants, what):
    """JetStream is slow, so that a chunk is always half stored."""
    tenant = tenants(pair, setup=False, overrides=PATIENT)
    old_rows(tenant, 12_000)
    proxy = Proxy(tenant.nats.servers[0].port)
    try:
        streamer = tenant.another({"transport.nats": {"url": f"nats://127.0.0.1:{proxy.port}"}})
        told = runs(tenant, streamer)
        streamer.start()
        proxy.slow_down(0.02)
        run = told.request("public.tb_item", options=["--rate", "3000"])
        for number in range(1, 4):
            told.wait_read(400 * number)
            tenant.run(f"UPDATE tb_item SET note = 'in its midst' WHERE n IN ({number}, 6000 + {number}, 12000 - {number})")
            if what == "its connection breaks":
                tenant.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'foreigner' "
                           "AND backend_type = 'client backend'")
            elif what == "it is paused":
                ask(streamer, "--pause", str(run), expect=None)
                wait_until(lambda: told.state(run)[0] in ("paused", "done"), SOON, "it rests")
                if told.state(run)[0] == "paused":
                    resume(told, run)
            else:
                tenant.run("VACUUM FULL tb_item")
        proxy.mend()
        told.wait_done(run)
        tenant.wait_confirmed()
        judge = judged(tenant)
    finally:
        proxy.close()
    assert len(judge.runs[0].restarts) <= 3


def test_rows_stand_between_transactions_that_are_stored_as_a_whole(newest_pair, tenants):
    tenant = tenants(newest_pair, setup=False, overrides=PATIENT | {"delivery": {"atomic": "auto"}})
    told = old_rows(tenant, 6_000)
    told.streamer.start()
    run = told.request("public.tb_item", options=["--rate", "3000"])
    for number in range(1, 60):
        tenant.run(f"INSERT INTO tb_item SELECT n, 'whole' FROM generate_series({number * 10_000}, {number * 10_000} + {number}) AS n; "
                   f"UPDATE tb_item SET note = 'whole' WHERE n % 1000 = {number}; DELETE FROM tb_item WHERE n IN ({number}, 5000 + {number})")
    told.wait_done(run)
    tenant.wait_confirmed()
    judge = judged(tenant)
    assert judge.read > 4_000 and any(event.batch for event in judge.live)


def test_a_run_that_is_done_and_lost_with_the_streams_end_is_told(single_pair, own, tmp_path):
    """The live events are stored again; the rows are not, and somebody has to ask for them once more."""
    tenant = own(single_pair, setup=False, overrides=PATIENT | WINDOW)
    told = old_rows(tenant, 100)
    started(tenant)
    tenant.commit(5000)
    tenant.wait_confirmed()
    server = tenant.nats.servers[0]
    kept = "jetstream/$G/streams/" + tenant.name
    told.streamer.kill()
    tenant.wait_free()
    server.stop()
    shutil.copytree(server.folder / kept, tmp_path / "copy")
    server.launch()
    tenant.nats.wait_ready()
    told.streamer.start()
    run = told.request("public.tb_item")
    told.wait_done(run)
    tenant.commit(5001)
    tenant.wait_confirmed()
    told.streamer.kill()
    tenant.wait_free()
    server.stop()
    shutil.rmtree(server.folder / kept)
    shutil.copytree(tmp_path / "copy", server.folder / kept)
    server.launch()
    tenant.nats.wait_ready()
    told.streamer.start()
    tenant.commit(5002)
    tenant.wait_confirmed()
    said = [entry for entry in told.streamer.log_entries() if entry["level"] in ("warning", "error") and "backfill" in str(entry)]
    assert said or told.state(run)[0] != "done" or told.read() == 100, "nobody is told that the rows are gone"


def test_somebody_else_on_the_prefix_is_no_part_of_a_run(pair, tenants):
    """What he takes the place of is stored behind him, or its table begins anew."""
    tenant = tenants(pair, setup=False, overrides=PATIENT)
    told = old_rows(tenant, 6_000)
    told.streamer.start()
    run = told.request("public.tb_item", options=["--rate", "3000"])
    for number in range(1, 9):
        told.wait_read(number * 300)
        tenant.administrator.publish(f"{tenant.prefix}.Item.STRAY", b"{}", Published_By_Somebody_Else=str(number))
        tenant.run(f"UPDATE tb_item SET note = 'in its midst' WHERE n IN ({number}, 5000 + {number})")
    told.wait_done(run)
    tenant.wait_confirmed()
    judge = judged(tenant)
    assert sum(event.stray is not None for event in tenant.read()) == 8 and judge.read >= 6_000


def test_two_streamers_take_turns_and_the_run_goes_on(pair, tenants):
    tenant, told = prepared(tenants, pair)
    second = tenant.another()
    told.streamer.start()
    second.start()
    run = told.request("public.tb_item", options=["--rate", "500"])
    told.wait_read(50)
    told.streamer.kill()
    wait_until(lambda: second.status()["role"] == "active", SOON, "the other takes over")
    tenant.run("UPDATE tb_item SET note = 'taken over' WHERE n IN (5, 700, 1400)")
    told.streamer = second
    told.wait_done(run)
    tenant.wait_confirmed()
    judged(tenant)


def test_a_stream_whose_end_is_lost_behind_the_record_gets_its_rows_again(single_pair, own, tmp_path):
    """The record says that rows are stored which are gone: the table begins anew."""
    tenant = own(single_pair, setup=False, overrides=PATIENT | WINDOW)
    told = old_rows(tenant)
    started(tenant)
    tenant.commit(5000)
    tenant.wait_confirmed()
    run = told.request("public.tb_item", options=["--rate", "150"])
    told.wait_read(30)
    server = tenant.nats.servers[0]
    kept = "jetstream/$G/streams/" + tenant.name

    def stop() -> None:
        told.streamer.kill()
        tenant.wait_free()
        server.stop()

    def launch() -> None:
        server.launch()
        tenant.nats.wait_ready()

    stop()
    shutil.copytree(server.folder / kept, tmp_path / "copy")
    launch()
    before = told.read()
    told.streamer.start()
    tenant.run("UPDATE tb_item SET note = 'lost and stored again' WHERE n IN (5, 1400)")
    told.wait_read(before + 100)
    tenant.wait_confirmed()
    stop()
    shutil.rmtree(server.folder / kept)
    shutil.copytree(tmp_path / "copy", server.folder / kept)
    launch()
    assert told.read() == before
    told.streamer.start()
    tenant.commit(5001)
    told.wait_done(run)
    tenant.wait_confirmed()
    judge = judged(tenant, has_lost_end=True)
    assert judge.runs[0].end == "end"


def test_a_gap_that_is_accepted_gives_the_run_up_with_a_marker(pair, tenants):
    tenant, told = prepared(tenants, pair)
    told.streamer.start()
    run = told.request("public.tb_item", options=["--rate", "200"])
    told.wait_read(30)
    told.streamer.kill()
    tenant.wait_free()
    tenant.run(f"UPDATE tb_item SET note = 'unseen' WHERE n = 1; SELECT pg_drop_replication_slot('{tenant.name}')")
    told.streamer.command("slot", "advance", "--accept-gap", "--by", "ann")
    told.streamer.start()
    why = told.wait_state(run, "cancelled")
    assert why
    assert markers(tenant)[-1]["backfill"]["event"] == "cancelled" and markers(tenant)[-1]["backfill"]["why"]
    second = told.request("public.tb_item")
    told.wait_done(second)
    tenant.wait_confirmed()
