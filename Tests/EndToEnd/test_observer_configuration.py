"""What the worker's file may say: both spellings, FraiseQL's examples, and every mistake at once, told before anything is done."""

import pytest

from orders import OrderStream
from places import place, place_maker, places  # noqa: F401
from servers.tools import free_port
from streamer import toml
from worker import Worker, observer, webhook

_URL = "https://hooks.example.com/orders"


_made: list[Worker] = []


@pytest.fixture(autouse=True)
def ended():
    """None is left running that should have ended by itself."""
    yield
    while _made:
        _made.pop().close()


def _file(folder, text: str, environment: dict[str, str] | None = None) -> Worker:
    """A worker whose configuration is this text and where NATS is, which is nowhere."""
    worker = Worker(folder / "worker", OrderStream(f"nats://127.0.0.1:{free_port()}"), environment=environment)
    _made.append(worker)
    worker.config.write_text(text + f'\n[transport.nats]\nurl = "nats://127.0.0.1:{free_port()}"\n' if "[transport.nats]" not in text else text)
    return worker


def _refused(folder, text: str, *told: str, environment: dict[str, str] | None = None) -> str:
    """Fails unless every command ends with 78 and says all of that, before it looks for a server."""
    worker = _file(folder, text, environment)
    worker.start(wait=False)
    assert worker.wait(60) == 78, worker.last_words()
    said = worker.command("check", expect=78)
    for words in told:
        assert words in worker.last_words(), (words, worker.last_words())
        assert words in said.stderr + said.stdout, (words, said.stderr, said.stdout)
    return worker.log.read_text() + said.stdout + said.stderr


def _accepted(folder, text: str, environment: dict[str, str] | None = None) -> str:
    """Fails unless nothing is wrong with it: only the server is missing."""
    return _file(folder, text, environment).command("check", expect=69).stderr


# Mistakes


_HEAD = '[observers.hook]\nentity = "Order"\nevent_type = "INSERT"\n'
_HOOK = f'[[observers.hook.actions]]\ntype = "webhook"\nurl = "{_URL}"\n'


@pytest.mark.parametrize(("text", "told"), [
    ('[observers.hook]\nentty = "Order"\nevent_type = "INSERT"\n' + _HOOK, ["entty", "entity"]),
    ('[observers.hook]\nentity = "Order"\nevent_type = "UPSERT"\n' + _HOOK, ["event_type", "UPSERT", "INSERT"]),
    (_HEAD, ["actions"]),
    (_HEAD + 'on_failure = "explode"\n' + _HOOK, ["on_failure", "explode", "dlq"]),
    (_HEAD + 'condition = "total >"\n' + _HOOK, ["condition"]),
    (_HEAD + '[observers.hook.retry]\nmax_attempts = 0\n' + _HOOK, ["max_attempts"]),
    (_HEAD + '[observers.hook.retry]\nbackoff = "linear"\n' + _HOOK, ["backoff", "backoff_strategy"]),
    (_HEAD + '[observers.hook.retry]\nbackoff_strategy = "quadratic"\n' + _HOOK, ["quadratic", "exponential"]),
    ("[observer_worker]\nmax_concurency = 7\n", ["max_concurency", "max_concurrency"]),
    ("[observer_worker]\nmax_concurrency = 0\n", ["max_concurrency"]),
    ('[observer_worker]\nordered = "perhaps"\n', ["ordered", "perhaps"]),
])
def test_a_mistake_is_told_with_what_is_right(folder, text, told):
    _refused(folder, text, *told)


@pytest.mark.parametrize(("action", "told"), [
    ({"type": "teleport"}, ["teleport", "webhook"]),
    ({"type": "sms", "phone": "1"}, ["sms"]),
    ({"type": "push"}, ["push"]),
    ({"type": "search", "index": "x"}, ["search"]),
    ({"type": "cache", "key_pattern": "x", "action": "invalidate"}, ["cache"]),
    ({"type": "webhook"}, ["url"]),
    ({"type": "webhook", "url": _URL, "url_env": "THE_URL"}, ["url_env"]),
    ({"type": "webhook", "url": "https://user:s3cretpart@hooks.example.com/"}, ["url"]),
    ({"type": "webhook", "url": "ftp://hooks.example.com/"}, ["url", "https://"]),
    ({"type": "webhook", "url": "https://hooks.example.com/" + "x" * 2048}, ["url", "2048"]),
    ({"type": "webhook", "url": "https://{{ host }}/"}, ["url"]),
    ({"type": "webhook", "url_env": "NOT_SET_ANYWHERE"}, ["NOT_SET_ANYWHERE"]),
    ({"type": "webhook", "url": _URL, "signing_secret_env": "NOT_SET_ANYWHERE"}, ["NOT_SET_ANYWHERE"]),
    ({"type": "webhook", "url": _URL, "metod": "PUT"}, ["metod", "method"]),
    ({"type": "webhook", "url": _URL, "headers": {"X-A": "b\nX-Evil: c"}}, ["X-A"]),
    ({"type": "webhook", "url": _URL, "headers": {"Idempotency-Key": "mine"}}, ["Idempotency-Key"]),
    ({"type": "webhook", "url": _URL, "headers": {"X-Order": "{{ id }}"}}, ["X-Order"]),
    ({"type": "slack", "channel": "#x"}, ["webhook_url"]),
    ({"type": "email", "to": "nobody", "subject": "x", "body_template": "y"}, ["to"]),
    ({"type": "database"}, ["function_name"]),
    ({"type": "log", "message_template": "x", "level": "loud"}, ["loud", "info"]),
    ({"type": "log"}, ["message_template"]),
    ({"type": "nats", "subject": "fraiseql.mutation.Order.COPY"}, ["fraiseql.mutation"]),
])
def test_an_action_that_cannot_be_is_told(folder, action, told):
    said = _refused(folder, toml({"observers.hook": observer(action)}), *told, "observers.hook")
    assert "s3cretpart" not in said


def test_all_mistakes_are_told_at_once(folder):
    said = _refused(folder, toml({
        "observer_worker": {"listne": "127.0.0.1:0"},
        "transport.nats.jetstream": {"max_deliver": 0},
        "observers.one": observer({"type": "sms"}, event_type="UPSERT"),
        "observers.two": observer(webhook("https://a:b@example.com/"), webhook("nowhere"), condition="((("),
        "observers.three": observer({"type": "email", "to": "x", "subject": "s", "body_template": "b"}, on_failure="never"),
    }), "listne", "max_deliver", "observers.one", "sms", "UPSERT", "observers.two", "condition", "observers.three", "never")
    assert said.count("observers.two") >= 3


def test_no_observer_at_all_is_told(folder):
    _refused(folder, "[observer_worker]\nordered = true\n", "observers")


def test_options_come_from_the_file_the_environment_and_set(folder):
    worker = _file(folder, toml({"observers.hook": observer(webhook(_URL))}), {"SLOTSTREAM_OBSERVER_WORKER_MAX_CONCURRENCY": "0"})
    done = worker.command("check", expect=78)
    assert "SLOTSTREAM_OBSERVER_WORKER_MAX_CONCURRENCY" in done.stderr
    assert worker.command("check", "--set", "observer_worker.max_concurrency=9", expect=69)


# Spellings


def test_an_array_of_observers_is_read(place):
    worker = place.worker()
    worker.config.write_text(worker.config.read_text().split('["observers')[0].split("[observers")[0] + f"""
[[observers]]
name = "first"
entity = "Order"
event_type = "INSERT"

[[observers.actions]]
type = "webhook"
url = "{place.receiver.url('/first')}"

[observers.retry]
max_attempts = 2

[[observers]]
entity = "Order"
event_type = "INSERT"

[[observers.actions]]
type = "webhook"
url = "{place.receiver.url('/second')}"
""")
    worker.start()
    place.order()
    place.wait_arrivals(2, None)
    assert {arrival.path for arrival in place.receiver.arrivals()} == {"/first", "/second"}


# As FraiseQL's example for NATS writes it (crates/fraiseql-observers/examples), with its tables at the end and its keys out of any order.
_EXAMPLE = """
[[observers]]
entity = "Order"
event_type = "INSERT"

[[observers.actions]]
body_template = '''
{
  "event_id": "{{ event.id }}",
  "event_type": "{{ event.event_type }}",
  "entity": "{{ event.entity_type }}",
  "data": {{ event.data }}
}
'''
headers = {"Authorization" = "Bearer ${API_TOKEN}"}
type = "webhook"
url_env = "ANALYTICS_WEBHOOK_URL"

[observers.retry]
backoff_strategy = "exponential"
initial_delay_ms = 100
max_attempts = 3
max_delay_ms = 30000

[[observers]]
condition = "data.total > 1000"
entity = "Order"
event_type = "INSERT"

[[observers.actions]]
message_template = "🎉 High-value order! ${{ data.total }} from {{ data.customer_email }}"
type = "slack"
webhook_url_env = "SLACK_WEBHOOK_URL"

[observers.on_failure]

[performance]
backlog_alert_threshold = 1000
enable_dedup = true
max_concurrency = 100
shutdown_timeout = "60s"

[redis]
cache_ttl_secs = 60
url = "redis://redis-cluster:6379"

[transport]
run_bridge = false
run_executors = true
transport = "nats"

[transport.nats]
consumer_name = "fraiseql_observer_worker_group_1"
stream_name = "@STREAM@"
subject_prefix = "@PREFIX@"
url = "@URL@"

[transport.nats.jetstream]
ack_wait_secs = 30
dedup_window_minutes = 5
max_age_days = 7
max_bytes = 10_737_418_240
max_deliver = 3
max_msgs = 10_000_000

[observer_worker]
allow_private_hosts = true
listen = "@LISTEN@"
"""


def test_fraiseqls_example_works(place):
    worker = place.worker(environment={"API_TOKEN": "t0ken", "ANALYTICS_WEBHOOK_URL": place.receiver.url("/analytics"),
                                       "SLACK_WEBHOOK_URL": place.receiver.url("/slack")})
    text = _EXAMPLE
    for name, value in (("STREAM", place.name), ("PREFIX", place.stream.prefix), ("URL", place.stream.url), ("LISTEN", worker.http)):
        text = text.replace(f"@{name}@", value)
    worker.config.write_text(text)
    worker.start()
    small = place.order()
    large = place.order(more={"total": 2000, "customer_email": "ann@example.com"})
    arrivals = place.wait_arrivals(2, "/analytics")
    assert arrivals[0].json == {"event_id": small.id, "event_type": "INSERT", "entity": "Order", "data": small.row}
    assert arrivals[0].headers["authorization"] == "Bearer t0ken"
    (slack,) = place.wait_arrivals(1, "/slack")
    assert slack.key in ("", large.id) and slack.json["text"] == "🎉 High-value order! $2000 from ann@example.com"


def test_the_streamers_file_with_observers_is_one_file_for_both(place):
    """Whatever the streamer's tables say, the worker takes them as they are; what is missing there is nothing to it."""
    worker = place.worker(overrides={"source": {"url": "host=127.0.0.1 dbname=nowhere", "slot": "x"}, "http": {"listen": "127.0.0.1:1"},
                                     "replay": {"window": "10m"}})
    worker.start()
    place.order()
    place.wait_arrivals(1)
    assert worker.running
