"""The comparison of a stream in which somebody else published: nothing hides behind a stray, a marker or a late event."""

import json
from dataclasses import replace

import pytest

from compare import Comparison
from strayed import compare_strayed, sort_out
from stream import Event
from strays import Stray
from test_comparison import TRUTH

_PREFIX = "fraiseql.mutation"


def _chained(stored: list[Event]) -> list[Event]:
    """In this order; strays are chained to nothing."""
    return [replace(event, sequence=place, expected_last=None if event.stray else place - 1) for place, event in enumerate(stored, 1)]


def _ours(first: int = 0, last: int | None = None) -> list[Event]:
    return [Event(0, item.subject, item.id, 0, item.body) for item in TRUTH[first:last]]


def _stray(number: int, subject: str = "Stray.HELLO", identity: str | None = None, body: bytes = b"hello") -> Event:
    return Event(0, f"{_PREFIX}.{subject}", identity, None, body, stray=number)


def _record(stored: list[Event]) -> list[Stray]:
    """What the publisher of the strays in a stream wrote down."""
    return [Stray(event.stray, "plain", event.subject, event.id, event.body, event.sequence) for event in stored if event.stray]


def _marker(*missing: str) -> Event:
    body = json.dumps({"id": "a marker's", "operation": "HOLE", "hole": {"missing": missing}}).encode()
    return Event(0, f"{_PREFIX}._slotstream.HOLE", f"{TRUTH[5].id}.gap.x1", 0, body)


def _late(place: int) -> Event:
    item = TRUTH[place]
    identity = f"{TRUTH[5].id}.late.{item.id}"
    body = json.loads(item.body) | {"late": {"id": item.id}}
    return Event(0, item.subject, identity, 0, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())


def _judge(stored: list[Event], record: list[Stray] | None = None) -> Comparison:
    return compare_strayed(sort_out(stored, _record(stored) if record is None else record), TRUTH)


def _found(stored: list[Event], record: list[Stray] | None = None) -> list[tuple[str, str, int | None]]:
    return [(found.kind, found.id, found.sequence) for found in _judge(stored, record).differences]


def _strayed() -> list[Event]:
    """All is there, with strays of every kind: at both ends, two at once, an old id of ours, reserved subjects."""
    return _chained([_stray(1), *_ours(0, 6), _stray(2, "_slotstream.HOLE", body=b'{"hole":{"missing":["x"]}}'), *_ours(6, 12),
                     _stray(3, identity=TRUTH[2].id), _stray(4, TRUTH[0].subject), *_ours(12), _stray(5, identity="own")])


def _mended() -> list[Event]:
    """Two events were refused behind a stray and stored late."""
    return _chained([*_ours(0, 4), _stray(1), *_ours(6, 9), _marker(TRUTH[4].id, TRUTH[5].id), _late(4), _late(5), *_ours(9)])


def test_finds_nothing_in_a_good_stream_with_strays_nor_in_a_mended_one():
    for stored in (_strayed(), _mended(), _chained(_ours())):
        result = _judge(stored).require_equal()
        assert (result.compared, result.transactions) == (25, 10)


def test_finds_an_event_that_was_lost_behind_a_stray():
    for place in range(len(TRUTH) - 1):
        lost = _chained([*_ours(0, place), _stray(1), *_ours(place + 1)])
        assert _found(lost) == [("missing", TRUTH[place].id, None)]


def test_finds_events_that_were_lost_behind_each_of_two_strays():
    lost = _chained([*_ours(0, 3), _stray(1), *_ours(4, 9), _stray(2), *_ours(11)])
    assert _found(lost) == [("missing", TRUTH[place].id, None) for place in (3, 9, 10)]


def test_finds_what_was_stored_twice_though_a_stray_echoes_the_same():
    stored = _chained([*_ours(), _stray(1, TRUTH[7].subject, TRUTH[7].id, TRUTH[7].body), _ours()[7]])
    assert _found(stored) == [("doubled", TRUTH[7].id, 27)]


def test_finds_a_stray_that_nobody_recorded_that_is_not_as_recorded_or_that_is_there_twice():
    stored = _strayed()
    record = _record(stored)
    assert _found(stored, record[1:]) == [("foreign", "stray 1", 1)]
    for wrong in (replace(record[0], body=b"?"), replace(record[0], subject="?"), replace(record[0], id="?"), replace(record[0], sequence=2),
                  replace(record[0], sequence=None, is_refused=True)):
        assert _found(stored, [wrong, *record[1:]]) == [("altered", "stray 1", 1)]
    again = _chained([*stored, stored[0]])
    assert _found(again, record) == [("doubled", "stray 1", len(again))]


def test_finds_that_a_stray_is_gone_which_was_acknowledged_and_forgives_one_of_which_nobody_knows():
    record = _record(_strayed())
    gone = _chained(_strayed()[1:])
    renumbered = [replace(stray, sequence=stray.sequence - 1) for stray in record[1:]]
    assert _found(gone, [record[0], *renumbered]) == [("missing", "stray 1", 1)]
    assert _found(gone, [replace(record[0], sequence=None), *renumbered]) == []


def test_an_event_without_the_mark_of_a_stray_is_foreign():
    stored = _chained([*_ours(0, 3), replace(_stray(1), stray=None), *_ours(3)])
    assert _found(stored) == [("foreign", "", 4)]


def test_finds_an_event_that_is_chained_past_a_stray():
    stored = _strayed()
    behind = next(place for place, event in enumerate(stored) if event.id == TRUTH[6].id)
    stored[behind].expected_last -= 1
    assert _found(stored) == [("unchained", TRUTH[6].id, behind + 1)]


_FOURTH = TRUTH[4].id
_AT = 9
_NEVER = _FOURTH.replace(".7", ".8")


def _with(stored: list[Event], place: int, *instead: Event) -> list[Event]:
    """With other messages in place of one."""
    return _chained([*stored[:place], *instead, *stored[place + 1:]])


# Where the marker (before `_AT`) or the first late event of a mended stream is not as it must be: (kind, id) of all that must be found.
_LATE_FAULTS = {
    "unannounced": (_with(_mended(), _AT - 1, _marker(TRUTH[5].id)), {("foreign", _late(4).id), ("missing", _FOURTH)}),
    "not stored": (_with(_mended(), _AT), {("missing", _FOURTH)}),
    "stored twice": (_with(_mended(), _AT, _late(4), _late(4)), {("doubled", _FOURTH)}),
    "before its marker": (_with(_with(_mended(), _AT), _AT - 1, _late(4), _mended()[_AT - 1]),
                          {("foreign", _late(4).id), ("missing", _FOURTH)}),
    "altered": (_with(_mended(), _AT, replace(_late(4), body=_late(4).body.replace(b'"last"', b'"Last"'))), {("altered", _FOURTH)}),
    "of another": (_with(_mended(), _AT, replace(_late(3), id=_late(4).id)), {("altered", _FOURTH)}),
    "on another subject": (_with(_mended(), _AT, replace(_late(4), subject="x")), {("altered", _FOURTH)}),
    "in its place too": (_with(_mended(), 4, _ours()[4], _stray(1)), {("foreign", _FOURTH)}),
    "never committed": (_with(_with(_mended(), _AT, _late(4), replace(_late(4), id=f"{TRUTH[5].id}.late.{_NEVER}")), _AT - 1,
                              _marker(_FOURTH, TRUTH[5].id, _NEVER)), {("foreign", f"{TRUTH[5].id}.late.{_NEVER}")}),
    "said to be missing and is not": (_with(_mended(), _AT - 1, _marker(_FOURTH, TRUTH[5].id, TRUTH[2].id)), {("foreign", TRUTH[2].id)}),
}


@pytest.mark.parametrize("fault", _LATE_FAULTS)
def test_finds_what_is_wrong_with_late_events(fault):
    stored, expected = _LATE_FAULTS[fault]
    assert {(kind, identity) for kind, identity, _ in _found(stored)} == expected


def test_finds_a_late_event_that_is_not_chained():
    stored = _mended()
    stored[_AT].expected_last -= 1
    assert _found(stored) == [("unchained", stored[_AT].id, _AT + 1)]


def test_late_events_count_where_they_were_committed():
    stored = _mended()
    found = sort_out(stored, _record(stored))
    assert [event.id for event in found.in_order(TRUTH)][4:6] == [event.id for event in found.late.values()]
    assert [len(found.ours), len(found.late), len(found.mended), len(found.strays)] == [23, 2, 3, 1]
