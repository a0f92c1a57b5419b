"""The controls of a pruning run: what else could have been had for the same number of epochs.

    more-epochs   the dense network, trained once for as long as all rounds together
    random-mask   the same schedule up to the selected round, with random scores
    rs            as more-epochs, with the RS regulariser (Xiao et al. 2019)
    ibp           as more-epochs, with interval bounds as the objective

Where the initial weights are not known, the first and the third train the dense network on, and the last starts from
fresh weights. Each has its folder with a checkpoint; one that is finished is not trained again.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pruning.criteria import CRITERIA
from pruning.plan import Plan
from pruning.prune import prune
from pruning.schedule import State, restore
from training.data import Data
from training.export import NETWORK, export_onnx
from training.loop import Epoch, train
from training.settings import Settings, settings_for

RS = 0.1
"""Weight of the regulariser: on small networks from 0.01 on it shows, from 0.3 on it costs accuracy."""


@dataclass(frozen=True, eq=False)
class Controls:
    """`model`: the network at its initial weights, if `known`, else at those of the dense network; `dense`: trained
    weights; `rounds`: how many the selected network took (one, where the dense network itself was selected)."""

    folder: Path
    model: nn.Module
    known: bool
    dense: State | None
    data: Data
    settings: Settings
    plan: Plan
    rounds: int

    def make(self, say: Callable[[str], None], on_epoch: Callable[[Epoch], None]) -> dict[str, Path]:
        """Trains and exports what is missing; control name -> file."""
        trainings = {"more-epochs": self.longer, "rs": self.regularised, "ibp": self.certified}
        found = {}
        for name, settings in trainings.items():
            # The length of the run is part of the name: another schedule may select another round.
            folder = self.folder / f"{name}-{settings().epochs}"
            if not (folder / NETWORK).exists():
                say(f"control {name}: {settings().epochs} epochs")
                self._train(folder, settings(), name == "ibp" and not self.known, on_epoch)
            found[name] = folder / NETWORK
        say(f"control random-mask: {self.rounds} rounds")
        found["random-mask"] = self._random(on_epoch)
        return found

    @property
    def epochs(self) -> int:
        """Of all trainings of the selected network together."""
        return self.settings.epochs * (self.rounds + self.known)

    def longer(self) -> Settings:
        return dataclasses.replace(self.settings, epochs=self.epochs)

    def regularised(self) -> Settings:
        return dataclasses.replace(self.settings, epochs=self.epochs, rs=RS, nrs=0.0)

    def certified(self) -> Settings:
        """The recipe's defaults, at the radius, seed and augmentation of the schedule."""
        like = self.settings
        return settings_for("ibp", eps=like.eps, epochs=self.epochs, seed=like.seed, device=like.device,
                            batch=like.batch, flip=like.flip, shift=like.shift)

    def _train(self, folder: Path, settings: Settings, fresh: bool, on_epoch: Callable[[Epoch], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        model = reset(self.model, settings.seed) if fresh else copy.deepcopy(self.model)
        if not self.known and not fresh and self.dense is not None:
            restore(model, self.dense)
        train(model, self.data, settings, run=folder, on_epoch=on_epoch)
        export_onnx(model, self.data.input_shape, folder / NETWORK, points=self.data.x_val[:32])

    def _random(self, on_epoch: Callable[[Epoch], None]) -> Path:
        plan, own = self.plan, CRITERIA[self.plan.criterion]
        random = dataclasses.replace(
            plan, criterion="random", remaining=plan.remaining[: self.rounds],
            per_layer=plan.per_layer or own.per_layer, max_drop_clean=1.0, max_drop_pgd=1.0, patience=0,
            seed=plan.seed + (plan.criterion == "random"))
        done = prune(copy.deepcopy(self.model), self.data, self.settings, random, self.folder / "random-mask" /
                     f"{self.rounds}-rounds", dense=self.dense, on_epoch=on_epoch)
        return done.rounds[-1].onnx


def reset(model: nn.Module, seed: int) -> nn.Module:
    """A copy with the weights that torch's layers start with, drawn from the seed."""
    copied = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in copied.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return copied
