"""What has been done so far, one JSON line per unit of work: an interrupted run goes on where it was.

The first line says which run it is (seed, commit); the work of another run is never mixed in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.soundness.tally import Tally
from verify.errors import InvalidInput


@dataclass(frozen=True)
class Identity:
    """What must agree for results to be added up."""

    seed: int
    commit: str


@dataclass(frozen=True)
class Unit:
    """Cases first .. first + count - 1 of an experiment, done in `seconds` by one process."""

    experiment: str
    first: int
    count: int
    seconds: float
    tally: Tally


class Journal:
    """The units of one run, in memory and (with a path) in a file.

    Raises InvalidInput when the file belongs to another run."""

    def __init__(self, identity: Identity, path: Path | None = None) -> None:
        self.identity, self.path = identity, path
        self.units: list[Unit] = []
        if path is None:
            return
        if path.exists():
            self.units = list(self._read(path))
        else:
            path.write_text(json.dumps(asdict(identity)) + "\n", encoding="utf-8")

    def add(self, unit: Unit) -> None:
        self.units.append(unit)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({**asdict(unit), "tally": unit.tally.as_json()}) + "\n")

    def of(self, experiment: str) -> list[Unit]:
        return [unit for unit in self.units if unit.experiment == experiment]

    def _read(self, path: Path) -> Iterator[Unit]:
        text = path.read_bytes()
        whole = text[:text.rfind(b"\n") + 1]  # an interruption may have left half a line
        lines = whole.decode("utf-8").splitlines()
        try:
            documents = [json.loads(line) for line in lines]
            found = Identity(**documents[0])
        except (ValueError, TypeError, IndexError) as error:
            raise InvalidInput(f"{path} is not the journal of a laboratory run: {error}") from error
        if found != self.identity:
            raise InvalidInput(f"{path} belongs to seed {found.seed} and commit {found.commit}, this run to seed "
                               f"{self.identity.seed} and commit {self.identity.commit}; choose another --out")
        if whole != text:
            path.write_bytes(whole)
        for document in documents[1:]:
            yield Unit(**{**document, "tally": Tally.from_json(document["tally"])})
