"""What a part of an experiment found: cases tried, wrong and skipped, and counts that say what the cases were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Finding:
    """A wrong answer: the case's number in its series, one line about it, and the files that reproduce it."""

    case: int
    what: str
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Tally:
    """`counts` are free numbers by name (verdicts, kinds, points); `notes` are sentences for the report."""

    tried: int = 0
    wrong: tuple[Finding, ...] = ()
    skipped: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __add__(self, other: Tally) -> Tally:
        counts = Counter(self.counts)
        counts.update(other.counts)
        notes = tuple(dict.fromkeys((*self.notes, *other.notes)))
        return Tally(self.tried + other.tried, self.wrong + other.wrong, self.skipped + other.skipped,
                     dict(sorted(counts.items())), notes)

    def as_json(self) -> dict[str, Any]:
        """Without the files of the findings, which are stored next to the report."""
        return {"tried": self.tried, "skipped": self.skipped, "counts": dict(self.counts), "notes": list(self.notes),
                "wrong": [{"case": finding.case, "what": finding.what} for finding in self.wrong]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Tally:
        wrong = tuple(Finding(entry["case"], entry["what"]) for entry in document["wrong"])
        return cls(document["tried"], wrong, document["skipped"], document["counts"], tuple(document["notes"]))


class Recorder:
    """Collects a tally case by case."""

    def __init__(self) -> None:
        self._tally, self._counts = Tally(), Counter()

    def tried(self, count: int = 1) -> None:
        self._tally = replace(self._tally, tried=self._tally.tried + count)

    def skipped(self, why: str) -> None:
        self._tally = replace(self._tally, skipped=self._tally.skipped + 1)
        self._counts[f"skipped: {why}"] += 1

    def count(self, name: str, number: int = 1) -> None:
        self._counts[name] += number

    def wrong(self, case: int, what: str, **files: bytes | str) -> None:
        """`files`: names with `__` for the dot, as in network__onnx=..."""
        stored = {name.replace("__", "."): data.encode() if isinstance(data, str) else data
                  for name, data in files.items()}
        self._tally = replace(self._tally, wrong=(*self._tally.wrong, Finding(case, what, stored)))

    def note(self, sentence: str) -> None:
        self._tally = replace(self._tally, notes=tuple(dict.fromkeys((*self._tally.notes, sentence))))

    def result(self) -> Tally:
        return replace(self._tally, counts=dict(sorted(self._counts.items())))
