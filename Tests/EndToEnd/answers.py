"""What a receiver answers: kinds of answers, and plans of which arrival of which key gets which. Used by the receiver and by its judge."""

import zlib
from dataclasses import asdict, dataclass, field

# How long an answer that comes in pieces takes.
DRIP_SECONDS = 0.3


@dataclass(frozen=True)
class Answer:
    """An answer to one request. `is_seen`: the receiver did with the request what it is there for; `is_told`: whoever asked can know that.
    `filler`: so many bytes more in the body."""

    kind: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str = "{}"
    filler: int = 0
    hangs: bool = False
    drips: bool = False
    # The connection is closed: "before" an answer, in the "middle" of it, "after" it.
    closes: str | None = None
    # Seen although nobody is told.
    secretly: bool = False

    @property
    def is_seen(self) -> bool:
        return self.secretly or self.is_told

    @property
    def is_told(self) -> bool:
        return 200 <= self.status < 300 and not self.hangs and self.closes in (None, "after")


# The kinds that a plan names.
KINDS = {answer.kind: answer for answer in (
    Answer("ok"),
    Answer("500", 500),
    Answer("503", 503),
    Answer("429", 429, {"Retry-After": "1"}),
    Answer("400", 400),
    Answer("404", 404),
    Answer("hang", hangs=True),
    Answer("early", closes="before"),
    Answer("cut", body='{"status": "received"}', closes="middle", secretly=True),
    Answer("lost", closes="before", secretly=True),
    Answer("drip", drips=True),
    Answer("bye", closes="after"),
)}

# What a retry mends, in the mass tests' proportions: what costs a second each is rare.
_PASSING = ("500",) * 6 + ("503",) * 4 + ("early",) * 6 + ("cut",) * 6 + ("lost",) * 6 + ("429", "hang")
_GOOD = ("ok",) * 94 + ("bye",) * 5 + ("drip",)
# In 1,000 keys, so many are answered 400 always, 500 always, and badly at first.
_PERMANENT, _EXHAUSTED, _FLAKY = 5, 5, 80


@dataclass(frozen=True)
class Plan:
    """`keys` and `paths`: for a key, and on a path, the answers (kinds, or answers of their own) to a key's first, second … arrival, the last of them
    for good; else, by `seed`, a fate for each key; without seed all is well. `passing`: how often at most an arrival of a key that is not doomed
    fails. `honours_keys`: what was seen is answered well when it comes again. `writes`: what arrives is written down; else it is only counted."""

    paths: dict[str, list[str | dict]] = field(default_factory=dict)
    keys: dict[str, list[str | dict]] = field(default_factory=dict)
    seed: int | None = None
    passing: int = 3
    honours_keys: bool = True
    writes: bool = True

    @classmethod
    def read(cls, plan: dict) -> "Plan":
        """A plan as it was sent."""
        return cls(**plan)

    def written(self) -> dict:
        """A plan as it is sent."""
        return asdict(self)

    def fate(self, key: str) -> str:
        """What becomes of a key: "permanent", "exhausted", or "done" (maybe after failures)."""
        if key in self.keys:
            return {"400": "permanent", "500": "exhausted"}.get(self.keys[key][-1], "done")
        share = self._draw(key, 0) % 1000
        if self.seed is None or share >= _PERMANENT + _EXHAUSTED:
            return "done"
        return "permanent" if share < _PERMANENT else "exhausted"

    def answer(self, path: str, key: str, attempt: int) -> Answer:
        """The answer to this arrival of the key."""
        answers = self.keys.get(key) or self.paths.get(path)
        if answers:
            chosen = answers[min(attempt, len(answers)) - 1]
            return KINDS[chosen] if isinstance(chosen, str) else Answer(**chosen)
        if self.seed is None:
            return KINDS["ok"]
        fate = self.fate(key)
        if fate != "done":
            return KINDS["400" if fate == "permanent" else "500"]
        is_flaky = self._draw(key, 0) % 1000 < _PERMANENT + _EXHAUSTED + _FLAKY
        if is_flaky and attempt <= 1 + self._draw(key, 1) % self.passing:
            return KINDS[_PASSING[self._draw(key, 1 + attempt) % len(_PASSING)]]
        return KINDS[_GOOD[self._draw(key, 1 + attempt) % len(_GOOD)]]

    def _draw(self, key: str, number: int) -> int:
        """A number of the seed, the key and `number`: the same in each process, and different bits for each."""
        return zlib.crc32(f"{self.seed}/{key}/{number}".encode()) * 2654435761 % 2**32 >> 8
