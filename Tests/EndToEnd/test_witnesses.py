"""The two judges besides the comparison see what they must see: a position confirmed too early, a client's commit that is
not there. Nor does the sampler end unnoticed, or a streamer that ends by itself."""

import json
from types import SimpleNamespace

import pytest

import stream
from confirmed import ConfirmedSampler, Sample
from hurting import Hurting
from oracles.changes import Transaction
from servers.tools import wait_until
from stream import Event
from streamer import Streamer
from workload import Workload

_TRANSACTIONS = [Transaction(700, 0x100, 0, 0x130, 2), Transaction(701, 0x130, 0, 0x160, 1),
                 Transaction(702, 0x200, 0, 0x230, 3)]


def _sampler(*samples: Sample, patience: float = 0) -> ConfirmedSampler:
    sampler = ConfirmedSampler.__new__(ConfirmedSampler)
    sampler.samples = list(samples)
    sampler._patience = patience
    return sampler


def test_accepts_exact_ends_keepalives_and_what_lags_behind():
    sampler = _sampler(Sample(0x80, (0, 0)), Sample(0x130, (0x100, 2)), Sample(0x130, (0x200, 1)),
                       Sample(0x1A0, (0x130, 1)), Sample(0x230, (0x200, 3)), Sample(0x900, (0x200, 3)))
    assert sampler.require_truth(_TRANSACTIONS) == 5
    assert sampler.exact(_TRANSACTIONS) == 2


@pytest.mark.parametrize("early", [
    Sample(0x130, (0x100, 1)),  # one change of the transaction is not stored
    Sample(0x130, (0, 0)),  # nothing is
    Sample(0x131, (0x100, 2)),  # one byte further: the next commit record starts at 0x130
    Sample(0x900, (0x200, 2)),  # a keepalive's position while something is pending
], ids=lambda sample: f"{sample.confirmed:x}")
def test_finds_a_position_that_was_confirmed_early(early):
    with pytest.raises(AssertionError, match="passes the transaction"):
        _sampler(early).require_truth(_TRANSACTIONS)


def test_a_new_leaders_old_answer_is_made_up_for_by_what_is_read_soon_after():
    stale, soon, late = Sample(0x130, (0, 0), 1), Sample(0x130, (0x100, 2), 15), Sample(0x130, (0x100, 2), 20)
    assert _sampler(stale, soon, patience=15).require_truth(_TRANSACTIONS) == 1
    for samples, patience in ([(stale, soon), 0], [(stale, late), 15], [(stale,), 15]):
        with pytest.raises(AssertionError, match="passes the transaction"):
            _sampler(*samples, patience=patience).require_truth(_TRANSACTIONS)


def test_finds_a_position_inside_a_commit_record():
    with pytest.raises(AssertionError, match="inside the commit record"):
        _sampler(Sample(0x12F, (0x100, 2))).require_truth(_TRANSACTIONS)


def test_fails_when_nothing_was_sampled():
    with pytest.raises(AssertionError, match="never sampled"):
        _sampler().require_truth(_TRANSACTIONS)


class _Slot:
    """A database whose slot has moved on at each look."""

    def __init__(self):
        self.confirmed = 0x100

    def connect(self) -> "_Slot":
        return self

    def execute(self, *_) -> "_Slot":
        return self

    def fetchone(self) -> tuple[int]:
        self.confirmed += 1
        return (self.confirmed,)

    def close(self) -> None:
        pass


_NATS = SimpleNamespace(url="nats://127.0.0.1:1", replicas=1)


class _UnreadableSlot(_Slot):
    def fetchone(self) -> tuple[int]:
        raise LookupError("nobody foresaw that")


def test_a_sampler_that_ends_by_itself_fails_the_test_that_uses_it():
    with pytest.raises(LookupError, match="nobody foresaw that"), ConfirmedSampler(_UnreadableSlot(), _NATS) as sampler:
        wait_until(lambda: not sampler._thread.is_alive(), 10, "it has ended")
    # What the test itself found comes first.
    with pytest.raises(AssertionError, match="the test's own"), ConfirmedSampler(_UnreadableSlot(), _NATS) as sampler:
        wait_until(lambda: not sampler._thread.is_alive(), 10, "it has ended")
        raise AssertionError("the test's own")


def _answering(monkeypatch, *answers) -> None:
    """A stream whose end is asked for: these answers (errors are raised), the last one again and again."""
    coming = list(answers)

    class Connection:
        is_connected = True

        async def close(self):
            raise RuntimeError("cannot be closed")

    async def connect(*_, **__):
        return Connection()

    async def last_position(_):
        answer = coming.pop(0) if len(coming) > 1 else coming[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(stream, "connect", connect)
    monkeypatch.setattr(stream, "last_position", last_position)


def test_a_sampler_goes_on_after_a_connection_that_cannot_even_be_closed(monkeypatch):
    _answering(monkeypatch, OSError("no answer"), OSError("again none"), (0x900, 1))
    with ConfirmedSampler(_Slot(), _NATS) as sampler:
        wait_until(lambda: sampler.samples, 10, "it samples")
    assert sampler.samples[0].stored == (0x900, 1)


def test_a_sampler_does_not_believe_that_a_stream_that_was_written_to_is_empty(monkeypatch):
    # So a server answers that has closed its streams and not yet its connections.
    _answering(monkeypatch, (0, 0), (0x900, 1), (0, 0), (0x900, 2))
    with ConfirmedSampler(_Slot(), _NATS) as sampler:
        wait_until(lambda: sampler.samples and sampler.samples[-1].stored == (0x900, 2), 10, "it samples")
    stored = [sample.stored for sample in sampler.samples]
    assert stored == sorted(stored) and stored[0] == (0, 0)
    # What was confirmed meanwhile is judged by the next answer.
    confirmed = [sample.confirmed for sample in sampler.samples]
    assert confirmed == list(range(confirmed[0], confirmed[-1] + 1))


_STUCK = "the NATS client is stuck: connecting to nats://127.0.0.1:4222 does not end"


def _hurting(folder) -> tuple[Hurting, callable]:
    """Hands without a deployment, and what makes their streamer say last words."""
    hurting = Hurting.__new__(Hurting)
    hurting.done, hurting.restarts, hurting._heard = {}, 0, 0
    hurting.streamer = Streamer.__new__(Streamer)
    hurting.streamer.log = folder / "slotstream.log"
    hurting.streamer.log.touch()

    def say(error: str) -> None:
        with hurting.streamer.log.open("a") as log:
            log.write(json.dumps({"message": "stopped", "error": error, "reason": "unexpected"}) + "\n")

    return hurting, say


def test_a_streamer_is_forgiven_that_says_it_is_stuck_in_libnats_and_not_again_and_again(tmp_path):
    hurting, say = _hurting(tmp_path)
    for _ in range(3):
        say(_STUCK)
        hurting.forgive(70)
    assert hurting.restarts == 3
    say(_STUCK)
    with pytest.raises(AssertionError, match="stuck in libnats 4 times"):
        hurting.forgive(70)


@pytest.mark.parametrize(("code", "said"), [(70, "no such thing was sent"), (70, None), (73, _STUCK), (1, None), (-11, None)])
def test_a_streamer_that_ends_by_itself_is_not_forgiven_anything_else(tmp_path, code, said):
    hurting, say = _hurting(tmp_path)
    # What an earlier one said is no excuse.
    say(_STUCK)
    hurting.forgive(70)
    if said:
        say(said)
    with pytest.raises(AssertionError, match=f"ended with {code}"):
        hurting.forgive(code)


def _row(client: int, seq: int, operation: str = "INSERT") -> Event:
    body = {"operation": operation, "entity": {"run": 1, "client": client, "seq": seq}}
    return Event(0, "", "", 0, json.dumps(body).encode())


def _workload() -> Workload:
    workload = Workload.__new__(Workload)
    workload.committed = {(1, 0): [1, 2, 4], (1, 1): [1]}
    workload.rolled_back = {(1, 0, 3)}
    return workload


_RECORDED = [_row(0, 1), _row(1, 1), _row(0, 2), _row(0, 2), _row(0, 4)]


def test_accepts_each_clients_record_and_one_commit_without_an_answer():
    assert _workload().require_order(_RECORDED) == 4
    assert _workload().require_order(_RECORDED + [_row(0, 5)]) == 4


@pytest.mark.parametrize(("events", "complaint"), [
    (_RECORDED[:-1], "committed and not stored"),
    ([_row(0, 2), _row(1, 1), _row(0, 1), _row(0, 4)], "order"),
    (_RECORDED[:4] + [_row(0, 3), _row(0, 4)], "rolled back"),
    (_RECORDED + [_row(0, 5), _row(0, 6)], "without the client's record"),
    (_RECORDED + [_row(7, 1), _row(7, 2)], "without the client's record"),
    ([], "committed and not stored"),
])
def test_finds_what_contradicts_a_clients_record(events, complaint):
    with pytest.raises(AssertionError, match=complaint):
        _workload().require_order(events)
