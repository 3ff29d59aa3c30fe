"""The comparison itself: every planted fault is found, at its place, and nothing else is."""

import json
import random
from dataclasses import replace

import pytest

from compare import Difference, compare
from faults import FAULTS, chained, last_moved, require_found
from oracles.changes import Change, Table, Transaction
from oracles.expected import Expected, events
from stream import Event

_TABLE = Table("public", "tb_order_line", "f", ("pk_order_line", "id", "paid", "note"), (20, 2950, 16, 25),
               (True, True, True, True))


def _truth(sizes: list[int]) -> list[Expected]:
    """Transactions of the given numbers of changes: inserts, updates and deletes."""
    changes = []
    for number, size in enumerate(sizes):
        transaction = Transaction(700 + number, 0x16B3748 + number * 0x100, 817_110_552_123_456 + number)
        for ordinal in range(1, size + 1):
            key = f"2f1c0d6e-8f0b-4d0e-9a5e-{number:06d}{ordinal:06d}"
            old = (str(ordinal), key, "t", "some\n\"note\"")
            new = (str(ordinal), key, "f", None)
            kind = ("INSERT", "UPDATE", "DELETE")[(number + ordinal) % 3]
            row = {"INSERT": (new, None), "UPDATE": (new, old), "DELETE": (None, old)}[kind]
            changes.append(Change(transaction, ordinal, kind, _TABLE, *row))
    return list(events(iter(changes), "7439120938471029384.5.1"))


def _stored(truth: list[Expected]) -> list[Event]:
    return chained([Event(0, item.subject, item.id, 0, item.body) for item in truth])


TRUTH = _truth([1, 4, 1, 3, 5, 1, 2, 6, 1, 1])


@pytest.fixture
def choice(seed) -> random.Random:
    """For the places where the faults are planted."""
    return random.Random(seed)


def _places(stored: list[Event]) -> list[tuple[str, str, int | None]]:
    return [(found.kind, found.id, found.sequence) for found in compare(stored, TRUTH).differences]


def test_finds_nothing_in_a_good_stream():
    result = compare(_stored(TRUTH), TRUTH).require_equal()
    assert (result.compared, result.transactions) == (25, 10)


@pytest.mark.parametrize("fault", FAULTS)
def test_finds_a_planted_fault_at_its_place_and_nothing_else(fault, choice):
    for _ in range(50):
        require_found(FAULTS[fault](_stored(TRUTH), TRUTH, choice), TRUTH)


def test_names_only_the_dropped_event():
    good = _stored(TRUTH)
    assert _places(chained(good[:6] + good[7:])) == [("missing", good[6].id, None)]


def test_names_only_the_doubled_event():
    good = _stored(TRUTH)
    assert _places(chained(good[:20] + [good[6]] + good[20:])) == [("doubled", good[6].id, 21)]


def test_names_both_ends_of_a_last_flag_moved():
    good = _stored(TRUTH)
    planted = last_moved(good, TRUTH, random.Random(1))
    place = planted.named[2]
    assert _places(planted.stored) == [("last", good[place - 1].id, place), ("last", good[place].id, place + 1)]


def test_finds_two_transactions_swapped():
    good = _stored(TRUTH)
    # Transactions of one event each, the last two.
    found = _places(chained(good[:-2] + [good[-1], good[-2]]))
    assert [kind for kind, _, _ in found] == ["reordered"]


def test_finds_one_byte_altered_wherever_it_is():
    good = _stored(TRUTH)
    place = 2
    event = good[place]
    for index in range(len(event.body)):
        for replacement in (event.body[index] ^ 1, event.body[index] ^ 0x20, 0x00, 0xFF):
            if replacement == event.body[index]:
                continue
            body = event.body[:index] + bytes([replacement]) + event.body[index + 1:]
            bad = list(good)
            bad[place] = replace(event, body=body)
            assert _places(bad) == [("altered", event.id, place + 1)], (index, body)


def test_finds_one_byte_of_the_message_id_altered():
    good = _stored(TRUTH)
    event = good[6]
    other = "8" + event.id[1:]
    good[6] = replace(event, id=other)
    assert _places(good) == [("altered", event.id, 7)]


def test_finds_a_subject_altered():
    good = _stored(TRUTH)
    good[4].subject = good[4].subject.replace("OrderLine", "Orderline")
    assert _places(good) == [("altered", good[4].id, 5)]


def test_finds_a_transaction_torn_by_several_events():
    good = _stored(TRUTH)
    # Transaction 704 has five events from index 9 on; the single one of 705 follows.
    found = _places(chained(good[:11] + [good[14]] + good[11:14] + good[15:]))
    assert ("torn", good[11].id, 13) in found
    moved = {event.id for event in good[11:15]}
    assert all(identity in moved for _, identity, _ in found)


def test_finds_a_foreign_event_at_its_place(choice):
    good = _stored(TRUTH)
    place = choice.randrange(len(good) + 1)
    foreign = Event(0, "fraiseql.mutation.Order.INSERT", "7439120938471029384.5.1.1.0000000000000001.1", 0, b"{}")
    bad = chained(good[:place] + [foreign] + good[place:])
    assert _places(bad) == [("foreign", foreign.id, place + 1)]


def test_finds_a_message_without_an_id():
    good = _stored(TRUTH)
    bad = chained(good[:3] + [Event(0, "fraiseql.mutation.Order.INSERT", None, 0, b"?")] + good[3:])
    assert _places(bad) == [("foreign", "", 4)]


def test_finds_a_message_that_was_notchained():
    good = _stored(TRUTH)
    good[7] = good[7].with_sequence(8, 6)
    good[9].expected_last = None
    assert _places(good) == [("unchained", good[7].id, 8), ("unchained", good[9].id, 10)]


def test_finds_a_batch_that_is_not_whole():
    good = _stored(TRUTH)
    for place in range(3, 7):
        good[place].batch = ("b", place - 2)
        if place > 3:
            good[place].expected_last = None
    assert _places(good) == []
    good[5].batch = ("another", 3)
    assert _places(good) == [("unchained", good[5].id, 6), ("unchained", good[6].id, 7)]


def test_finds_a_tail_that_is_missing():
    good = _stored(TRUTH)
    assert _places(good[:-3]) == [("missing", item.id, None) for item in TRUTH[-3:]]


def test_accepts_another_order_of_members_and_no_other_difference():
    good = _stored(TRUTH)
    body = json.loads(good[1].body)
    turned = dict(reversed(body.items()))
    good[1].body = json.dumps(turned, separators=(",", ":"), ensure_ascii=False).encode()
    compare(good, TRUTH).require_equal()


def test_fails_when_nothing_was_compared():
    with pytest.raises(AssertionError, match="compared nothing"):
        compare([], []).require_equal()
    with pytest.raises(AssertionError, match="compared nothing"):
        compare([], TRUTH).require_equal()


def test_names_each_difference_in_a_failure():
    with pytest.raises(AssertionError, match="missing 7439120938471029384.5.1.700"):
        compare(chained(_stored(TRUTH)[1:]), TRUTH).require_equal()
    assert str(Difference("torn", "x", 3)) == "torn x (sequence 3)"
