"""Streams that were made beforehand: which are refused, which are used as they are. None is altered."""

import pytest

from deployment import Pair
from tenants import record_entries, refused, stopped, tenant_maker, tenants  # noqa: F401

# What is refused on every server, and what only newer ones know.
_REFUSED = {
    "memory": {"storage": "memory"},
    "interest": {"retention": "interest"},
    "workqueue": {"retention": "workqueue"},
    "no_ack": {"no_ack": True},
    "other subjects": {"subjects": ["somewhere.else.>"]},
    "narrower subjects": {"subjects": ["{prefix}.*"]},
    "sources": {"sources": [{"name": "origin"}]},
    "rollups": {"allow_rollup_hdrs": True},
    "few a subject": {"max_msgs_per_subject": 1000},
}
_REFUSED_BY_NEWER = {
    "message TTL": {"allow_msg_ttl": True},
    "markers": {"subject_delete_marker_ttl": 10**9, "allow_msg_ttl": True, "allow_rollup_hdrs": True},
    "schedules": {"allow_msg_schedules": True},
    "counters": {"allow_msg_counter": True},
    "asynchronous persistence": {"persist_mode": "async"},
    "subject transform": {"subject_transform": {"src": "{prefix}.a", "dest": "{prefix}.b"}},
}


def _filled(value, prefix: str):
    """The value with `{prefix}` filled in."""
    if isinstance(value, str):
        return value.replace("{prefix}", prefix)
    if isinstance(value, list):
        return [_filled(item, prefix) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, prefix) for key, item in value.items()}
    return value


def _refuses_stream(tenant, config: dict) -> None:
    made = tenant.administrator.add(tenant.name, **{"subjects": [f"{tenant.prefix}.>"], "storage": "file"}
                                    | _filled(config, tenant.prefix))
    refused(tenant.streamer, 78, "configuration", "setup")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 78, "configuration")
    assert tenant.administrator.config(tenant.name) == made, "the stream was not altered"
    assert not tenant.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", (tenant.name,))


def test_a_stream_that_is_told_to_keep_few_messages_a_subject_is_refused_by_whoever_streams_to_it(single_pair, tenants):
    """It loses history at once: nothing is streamed to it, and what is not stored is not confirmed."""
    tenant = tenants(single_pair)
    tenant.administrator.update(tenant.name, max_msgs_per_subject=1)
    tenant.commit_each(1, 3)
    refused(tenant.streamer, 78, "configuration", "setup")
    tenant.streamer.start(wait=False)
    said = stopped(tenant.streamer, 78, "configuration")
    assert "max_msgs_per_subject is 1, must be -1" in said
    assert tenant.last_sequence() == 0
    tenant.administrator.update(tenant.name, max_msgs_per_subject=-1)
    tenant.streamer.start()
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    tenant.require_exact(1, 2, 3)


@pytest.mark.parametrize("kind", _REFUSED)
def test_a_stream_on_which_the_guarantee_does_not_hold_is_refused(single_pair, tenants, kind):
    # Pitfall 19.
    tenant = tenants(single_pair, setup=False)
    if kind == "sources":
        tenant.administrator.add("origin", subjects=["origin"])
    try:
        _refuses_stream(tenant, _REFUSED[kind])
    finally:
        if kind == "sources":
            tenant.administrator.delete("origin")


@pytest.mark.parametrize("kind", _REFUSED_BY_NEWER)
def test_a_stream_whose_messages_change_or_go_by_themselves_is_refused(one_pair, tenants, kind):
    _refuses_stream(tenants(Pair(one_pair.postgres, "2.15.1"), setup=False), _REFUSED_BY_NEWER[kind])


def test_a_mirror_is_refused(single_pair, tenants):
    tenant = tenants(single_pair, setup=False)
    tenant.administrator.add("mirrored", subjects=["mirrored"])
    try:
        tenant.administrator.add(tenant.name, storage="file", mirror={"name": "mirrored"})
        refused(tenant.streamer, 78, "configuration", "setup")
    finally:
        tenant.administrator.delete("mirrored")


def test_a_sealed_stream_is_refused(single_pair, tenants):
    tenant = tenants(single_pair)
    tenant.administrator.update(tenant.name, sealed=True)
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 78, "configuration")


def test_a_stream_that_is_only_otherwise_than_configured_is_used_as_it_is_with_warnings(single_pair, tenants):
    tenant = tenants(single_pair, setup=False)
    made = tenant.administrator.add(
        tenant.name, subjects=[f"{tenant.prefix}.>", "other.subjects"], storage="file", duplicate_window=10**9,
        max_msgs_per_subject=1000, discard="new", discard_new_per_subject=True, max_age=3600 * 10**9, max_msgs=5000)
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    assert tenant.administrator.config(tenant.name) == made, "it was not altered"
    warned = [entry["difference"] for entry in record_entries(tenant.streamer, "not as configured")]
    for key in ("subjects", "duplicate_window", "max_msgs_per_subject", "discard", "discard_new_per_subject", "max_age",
                "max_msgs"):
        assert any(f"{key} is" in difference for difference in warned), warned
    tenant.require_exact(1, 2, 3)


def test_a_stream_that_was_written_to_by_others_is_no_first_start(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file")
    tenant.administrator.publish(f"{tenant.prefix}.x", b"theirs")
    refused(tenant.streamer, 76, "foreign_message", "setup")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 76, "foreign_message")
