"""The two judges besides the comparison see what they must see: a position confirmed too early, a client's commit that is
not there."""

import json

import pytest

from confirmed import ConfirmedSampler, Sample
from oracles.changes import Transaction
from stream import Event
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
