"""A bucket that is there already: used as it is, and told of where it could lose the record."""

from administrator import BUCKET
from tenants import tenant_maker, tenants  # noqa: F401

_STREAM = f"KV_{BUCKET}"


def test_nothing_is_said_of_a_bucket_that_setup_made(single_pair, tenants):
    tenant = tenants(single_pair)
    assert "bucket" not in tenant.streamer.command("setup").stdout


def test_a_bucket_that_could_lose_the_record_is_told_of_and_left_as_it_is(single_pair, tenants):
    tenant = tenants(single_pair, setup=False)
    if _STREAM in tenant.administrator.names():
        tenant.administrator.delete(_STREAM)
    made = tenant.administrator.add(
        _STREAM, subjects=[f"$KV.{BUCKET}.>"], storage="memory", max_age=3600 * 10**9, max_msgs_per_subject=5,
        allow_rollup_hdrs=True, deny_delete=True, allow_direct=True, discard="new")
    said = tenant.streamer.command("setup").stdout
    for risk in ("storage is memory", "max_age is 3600.0 s"):
        assert f"note: bucket {BUCKET} stays unchanged: {risk}" in said, said
    assert said.count("record is lost") == 2, said
    assert tenant.administrator.config(_STREAM) == made, "it was not altered"
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.require_exact(1)
