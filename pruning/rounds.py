"""What is kept of every round of a schedule, each in a folder that is there as a whole or not at all.

    RUN/schedule.json    plan, settings, data and starting weights: a schedule goes on only with the same ones
    RUN/initial.pt       the weights at the start; RUN/rewind.pt: those of the epoch to rewind to, if one was asked for
    RUN/rounds/00        round 0, the dense network: mask.pt, state.pt, metrics.json, model.onnx (and masked.onnx, where
    RUN/rounds/01 ...    model.onnx is the smaller network)
    RUN/rounds/.03       round 3, unfinished: its mask and the checkpoint of its training
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pruning.mask import Mask
from pruning.measure import Check
from pruning.schedule import State
from training import files
from verify.errors import InvalidInput


@dataclass(frozen=True)
class Round:
    """A finished round. `remaining`: of the pruned tensors (weights, or channels); `whole`: of all parameters;
    `parameters`: of the exported network; `difference`: the largest that was seen between the masked network, the
    smaller one, and the exported files of both; `files`: name -> sha256."""

    index: int
    remaining: float
    whole: float
    parameters: int
    check: Check
    difference: float
    files: Mapping[str, str]
    folder: Path

    @property
    def onnx(self) -> Path:
        """The exported network."""
        return self.folder / "model.onnx"

    def mask(self) -> Mask:
        """Read from the folder."""
        return Mask.of_state(torch.load(self.folder / "mask.pt", weights_only=True))

    def state(self) -> State:
        """Trained and masked weights, read from the folder."""
        return torch.load(self.folder / "state.pt", weights_only=True)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; without the folder."""
        return {"index": self.index, "remaining": self.remaining, "whole": self.whole, "parameters": self.parameters,
                "check": dataclasses.asdict(self.check), "difference": self.difference, "files": dict(self.files)}


@dataclass(frozen=True)
class Store:
    """The folder of one schedule."""

    run: Path

    def begin(self, identity: Mapping[str, Any], initial: State, defaults: Mapping[str, Any] | None = None) -> None:
        """Claims the folder for a schedule, or finds that it is the same one's. Raises `InvalidInput` when it holds
        another schedule, naming the difference. `defaults`: of the parts of `identity`, for a folder from before there
        was an option."""
        path = self.run / "schedule.json"
        identity = json.loads(json.dumps(dict(identity)))
        if path.exists():
            self._same(path, identity, defaults or {})
        elif self.run.exists() and any(self.run.iterdir()):
            raise InvalidInput(f"{self.run} is not empty and holds no schedule of pruning; choose another folder")
        else:
            files.write_json(path, identity)
        if not (self.run / "initial.pt").exists():
            files.write(self.run / "initial.pt", lambda temporary: torch.save(dict(initial), temporary))

    def _same(self, path: Path, identity: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{path} cannot be read: {error}") from error
        for part in {**identity, **known}:
            old, new = known.get(part), identity.get(part)
            old = {**defaults.get(part, {}), **old} if isinstance(old, dict) else old
            if old == new:
                continue
            if isinstance(old, dict) and isinstance(new, dict):
                name = next(name for name in {**old, **new} if old.get(name) != new.get(name))
                part, old, new = f"{part}.{name}", old.get(name), new.get(name)
            raise InvalidInput(f"{self.run} holds a schedule with another {part}: {old!r} there, {new!r} now. Choose "
                               "another folder, or the same settings to go on")

    def work(self, index: int) -> Path:
        """Where an unfinished round is built."""
        return self.run / "rounds" / f".{index:02d}"

    def folder(self, index: int) -> Path:
        """Where a finished round is."""
        return self.run / "rounds" / f"{index:02d}"

    def finish(self, made: Round, mask: Mask, state: State) -> Round:
        """Writes what belongs to a round, whose exported networks are in its `work` folder, and moves it to its place.
        """
        work = self.work(made.index)
        files.write(work / "mask.pt", lambda temporary: torch.save(mask.state(), temporary))
        files.write(work / "state.pt", lambda temporary: torch.save(dict(state), temporary))
        files.write_json(work / "metrics.json", made.as_dict())
        (work / "checkpoint.pt").unlink(missing_ok=True)
        try:
            os.replace(work, self.folder(made.index))
        except OSError as error:
            raise InvalidInput(f"cannot write {self.folder(made.index)}: {error.strerror}") from error
        return dataclasses.replace(made, folder=self.folder(made.index))

    def round(self, index: int) -> Round | None:
        """A finished round, or None. Raises `InvalidInput` when its record cannot be read."""
        path = self.folder(index) / "metrics.json"
        if not self.folder(index).exists():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return Round(**{**found, "check": Check(**found["check"])}, folder=self.folder(index))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InvalidInput(f"{path} is not the record of a round ({error}); remove the folder to repeat it"
                               ) from error

    def select(self, chosen: Round) -> Path:
        """Copies the network of a round to RUN/model.onnx."""
        target = self.run / "model.onnx"
        files.write(target, lambda temporary: shutil.copyfile(chosen.onnx, temporary))
        return target


def digest(state: State) -> str:
    """sha256 over names, shapes and values."""
    found = hashlib.sha256()
    for name, value in state.items():
        found.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
