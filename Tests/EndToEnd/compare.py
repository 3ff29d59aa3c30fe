"""Stream against truth, event by event. Pure: two sequences in, a list of differences out."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from json import JSONDecodeError, JSONDecoder

from oracles.expected import Expected
from stream import Event

_decoder = JSONDecoder()

# So many differences say enough; the rest is counted.
DETAILED_DIFFERENCES = 50


@dataclass(slots=True, frozen=True)
class Difference:
    """One fault at one place.

    `missing` committed and not stored · `doubled` stored a second time · `reordered` stored at another place than its
    own · `torn` its transaction's events are not adjacent: others lie right before it · `altered` subject or body are not
    what they must be · `last` only `transaction.last` is not · `foreign` nothing like it was committed · `unchained` its
    Nats-Expected-Last-Sequence is not the sequence before it, or its place in its batch not the next. `sequence` is None for what
    is not stored.
    """

    kind: str
    id: str
    sequence: int | None
    detail: str = ""

    def __str__(self) -> str:
        place = "not stored" if self.sequence is None else f"sequence {self.sequence}"
        return f"{self.kind} {self.id} ({place}) {self.detail}".rstrip()


@dataclass(slots=True)
class Comparison:
    """`compared`: events that are at their place with their id; the differences come on top."""

    compared: int = 0
    transactions: int = 0
    differences: list[Difference] = field(default_factory=list)

    def require_equal(self) -> "Comparison":
        """Fails on any difference, and when there was nothing to compare."""
        assert self.compared > 0, "the comparison compared nothing"
        shown = "\n".join(f"  {difference}" for difference in self.differences[:DETAILED_DIFFERENCES])
        assert not self.differences, f"{len(self.differences)} differences in {self.compared} events:\n{shown}"
        return self


def compare(stored: Iterable[Event], truth: Iterable[Expected], between: Iterable[int] = ()) -> Comparison:
    """Walks through both while they agree on the order, in constant memory but for the ids; sorts out the rest. `between`: the
    sequences, rising, of what lies among them and is judged elsewhere (strayed.py)."""
    result = Comparison()
    events, expectations = iter(stored), iter(truth)
    previous = Chain(result.differences, between)
    seen: set[str] = set()
    transaction = None
    for event in events:
        expected = next(expectations, None)
        if expected is None or event.id != expected.id:
            rest = [expected] if expected else []
            _sort_out(chain([event], events), chain(rest, expectations), seen, transaction, previous, result)
            break
        previous.follow(event)
        seen.add(event.id)
        _count(result, expected, transaction)
        transaction = _transaction(event.id)
        _compare_contents(event, expected, result.differences)
    else:
        result.differences += [Difference("missing", expected.id, None) for expected in expectations]
    return result


class Chain:
    """Each message must have been stored on condition that the one before it was the last; of an atomic batch its first message,
    and the others right after it."""

    def __init__(self, differences: list[Difference], between: Iterable[int] = ()):
        self._differences = differences
        self._between = iter(between)
        self._next_between = next(self._between, None)
        self._sequence = 0
        self._batch: tuple[str, int] | None = None

    def follow(self, event: Event) -> None:
        """The next stored message, whatever it is."""
        while self._next_between is not None and self._next_between < event.sequence:
            self._sequence, self._batch = self._next_between, None
            self._next_between = next(self._between, None)
        if event.batch and event.batch[1] > 1:
            is_chained = (self._batch == (event.batch[0], event.batch[1] - 1) and event.expected_last is None
                          and event.sequence == self._sequence + 1)
        else:
            is_chained = event.expected_last == self._sequence and event.sequence > self._sequence
        if not is_chained:
            detail = f"expects {event.expected_last} before it, {self._sequence} is; batch {event.batch} after {self._batch}"
            self._differences.append(Difference("unchained", event.id or "", event.sequence, detail))
        self._sequence, self._batch = event.sequence, event.batch

    def pass_over(self, sequence: int) -> None:
        """The next stored message is somebody else's, who chains nothing."""
        self._sequence, self._batch = sequence, None


def _sort_out(stored: Iterator[Event], truth: Iterator[Expected], seen: set[str], transaction: str | None,
              previous: Chain, result: Comparison) -> None:
    """From the first event on that is not the expected one. `seen`: the ids before it; `transaction`: the last one's."""
    differences = result.differences
    expected = {}
    for item in truth:
        expected.setdefault(item.id, (len(expected), item))
    found: list[tuple[str, int]] = []
    places: list[int] = []
    for event in stored:
        previous.follow(event)
        identity = event.id
        if identity not in expected and identity not in seen:
            # An id that was altered on its way can still be recognised by the body's.
            identity = members(event.body).get("id", "").strip('"')
            if identity in expected and identity not in seen:
                detail = f"Nats-Msg-Id is {event.id}"
                differences.append(Difference("altered", identity, event.sequence, detail))
            else:
                differences.append(Difference("foreign", event.id or "", event.sequence))
                continue
        elif identity in seen:
            differences.append(Difference("doubled", identity, event.sequence))
            continue
        seen.add(identity)
        place, item = expected[identity]
        _count(result, item, _transaction(found[-1][0]) if found else transaction)
        found.append((identity, event.sequence))
        places.append(place)
        if event.id == identity:
            _compare_contents(event, item, differences)
    differences += [Difference("missing", identity, None) for identity in expected if identity not in seen]
    _find_torn(found, transaction, differences)
    in_order = _longest_increasing(places)
    differences += [Difference("reordered", identity, sequence)
                    for index, (identity, sequence) in enumerate(found) if index not in in_order]


def _count(result: Comparison, expected: Expected, before: str | None) -> None:
    result.compared += 1
    if _transaction(expected.id) != before:
        result.transactions += 1


def _transaction(identity: str) -> str:
    """The message id without its ordinal."""
    return identity.rpartition(".")[0]


def _find_torn(found: list[tuple[str, int]], transaction: str | None, differences: list[Difference]) -> None:
    """Names the event with which a transaction goes on after another one's."""
    current, ended = transaction, set()
    for identity, sequence in found:
        own = _transaction(identity)
        if own != current:
            if own in ended:
                differences.append(Difference("torn", identity, sequence))
            ended.add(current)
            current = own


def _longest_increasing(places: list[int]) -> set[int]:
    """The indices of a longest increasing subsequence: what is outside of it was moved."""
    tails: list[int] = []
    indices: list[int] = []
    before: list[int] = []
    for index, place in enumerate(places):
        at = bisect_left(tails, place)
        before.append(indices[at - 1] if at else -1)
        if at == len(tails):
            tails.append(place)
            indices.append(index)
        else:
            tails[at] = place
            indices[at] = index
    kept = set()
    index = indices[-1] if indices else -1
    while index >= 0:
        kept.add(index)
        index = before[index]
    return kept


def _compare_contents(event: Event, expected: Expected, differences: list[Difference]) -> None:
    if event.subject != expected.subject:
        detail = f"subject {event.subject}, must be {expected.subject}"
        differences.append(Difference("altered", event.id, event.sequence, detail))
    if event.body == expected.body:
        return
    # The order of an object's members is not promised; their bytes are.
    written = members(event.body)
    wrong = sorted(name for name in written.keys() | expected.members.keys()
                   if written.get(name) != expected.members.get(name))
    if not wrong:
        return
    told = "; ".join(f"{name}: {_short(written.get(name))}, must be {_short(expected.members.get(name))}"
                     for name in wrong)
    kind = "altered"
    if wrong == ["transaction"]:
        opposite = {"true}": "false}", "false}": "true}"}
        own = expected.members["transaction"]
        stem, _, flag = own.rpartition(":")
        if written.get("transaction") == f"{stem}:{opposite[flag]}":
            kind = "last"
    differences.append(Difference(kind, event.id, event.sequence, told))


def _short(text: str | None) -> str:
    if text is None:
        return "absent"
    return text if len(text) <= 300 else text[:300] + "…"


def members(body: bytes) -> dict[str, str]:
    """The members of a JSON object as they are written, without parsing further; {} when it is none."""
    try:
        text = body.decode()
        found = {}
        at = 1
        if text[0] != "{":
            return {}
        while True:
            name, at = _decoder.raw_decode(text, at)
            if text[at] != ":" or not isinstance(name, str) or name in found:
                return {}
            _, end = _decoder.raw_decode(text, at + 1)
            found[name] = text[at + 1:end]
            at = end + 1
            if text[end] == "}" and at == len(text):
                return found
            if text[end] != ",":
                return {}
    except (JSONDecodeError, UnicodeDecodeError, IndexError):
        return {}
