"""A real Prometheus reads `/metrics`, and has nothing against it."""

import subprocess

from servers.prometheus import prometheus
from servers.tools import installed, wait_until
from tenants import tenant_maker, tenants  # noqa: F401


def test_prometheus_reads_a_streamer_and_its_standby(pair, tenants):
    tenant = tenants(pair)
    holder, standby = tenant.streamer, tenant.another()
    for streamer in (holder, standby):
        streamer.keep_other_times(watch=200)
        streamer.start()
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    with prometheus(tenant.servers.folder / f"{tenant.name}-prometheus", [holder.http, standby.http]) as server:
        server.wait_scraped(2)
        assert [target["lastError"] for target in server.targets()] == ["", ""]
        # It has each sample that is exported, and made nothing of its own of them.
        exported = [line for line in holder.get("/metrics").splitlines() if not line.startswith("#")]
        (_, scraped), = server.wait_for(f'scrape_samples_scraped{{instance="{holder.http}"}} > 0')
        (_, kept), = server.query(f'scrape_samples_post_metric_relabeling{{instance="{holder.http}"}}')
        assert scraped == kept and abs(scraped - len(exported)) < 10, (scraped, kept, len(exported))
        # What an operator asks.
        (labels, messages), = server.wait_for(
            "slotstream_stream_messages * on (instance) group_left (slot, stream, database) slotstream_info == 5")
        assert messages == 5 and (labels["stream"], labels["database"]) == (tenant.name, tenant.name)
        roles = dict((labels["instance"], labels["role"]) for labels, _ in server.wait_for("slotstream_role == 1"))
        assert roles == {holder.http: "active", standby.http: "standby"}
        assert server.query("sum by (consumer) (slotstream_consumer_pending)") == [({"consumer": "fraiseql_observer_worker"}, 5)]
        quantile = "histogram_quantile(0.99, sum by (le) (fraiseql_observer_processing_duration_seconds_bucket))"
        (_, seconds), = server.query(quantile)
        assert 0 < seconds < 3600
        assert server.query("process_resident_memory_bytes > 1e6") and server.query("slotstream_build_info")


def test_promtool_finds_nothing_in_any_state(pair, tenants):
    tenant = tenants(pair)
    holder, standby = tenant.streamer, tenant.another()
    for streamer in (holder, standby):
        streamer.keep_other_times(watch=200)
        streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    wait_until(lambda: "slotstream_stream_messages 3" in holder.get("/metrics"), 20, "it has looked at the stream")
    tenant.nats.pause()
    texts = [holder.get("/metrics"), standby.get("/metrics")]
    tenant.nats.kill()
    wait_until(lambda: holder.metric('slotstream_connected{peer="nats"}') == 0, 30, "it has lost NATS")
    texts.append(holder.get("/metrics"))
    for text in texts:
        done = subprocess.run([installed("promtool"), "check", "metrics"], input=text, text=True, capture_output=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
