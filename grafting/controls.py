"""The controls of a grafting run: what else could have been done with the same network, data and epochs.

    more-epochs   the network before, trained as the grafted one was fine-tuned
    random-mask   grafted at the same ratio, in the same rounds, at random, and fine-tuned the same
    rs            the same architecture from fresh weights, trained as the network before was, with the RS regulariser
                  (Xiao et al. 2019)
    ibp           the same architecture from fresh weights, trained with interval bounds

Each has its folder with a checkpoint, and its network as `model.onnx`; one that is there is not trained again.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from grafting.choices import Choices
from grafting.export import export_grafted
from grafting.finetune import finetune
from grafting.scores import Context
from grafting.select import graft_in_rounds
from training.data import Data
from training.export import NETWORK, export_onnx
from training.loop import Epoch, train
from training.settings import Settings, settings_for

RS = 0.1
"""Weight of the regulariser: on small networks from 0.01 on it shows, from 0.3 on it costs accuracy."""
IBP_STEPS = 2000
"""Fewer steps of the optimizer than this make a bad network of any, and no control."""


@dataclass(frozen=True, eq=False)
class Controls:
    """`model` is the network before; `settings` of its further training, `tuned` of fine-tuning, `own` of a training
    like its own; `context` and `choices` of the grafting."""

    folder: Path
    model: nn.Module
    data: Data
    settings: Settings
    tuned: Settings
    own: Settings
    context: Context
    choices: Choices

    def make(self, say: Callable[[str], None], on_epoch: Callable[[Epoch], None]) -> dict[str, Path]:
        """Trains and exports what is missing; control name -> file."""
        found = {}
        for name, build in (("more-epochs", self._longer), ("random-mask", self._random), ("rs", self._regularised),
                            ("ibp", self._certified)):
            folder = self.folder / name
            if not (folder / NETWORK).exists():
                say(f"control {name}")
                build(folder, on_epoch)
            found[name] = folder / NETWORK
        return found

    def _train(self, folder: Path, model: nn.Module, settings: Settings, on_epoch: Callable[[Epoch], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        train(model, self.data, settings, run=folder, on_epoch=on_epoch)
        export_onnx(model, self.data.input_shape, folder / NETWORK, points=self.data.x_train[:32])

    def _longer(self, folder: Path, on_epoch: Callable[[Epoch], None]) -> None:
        self._train(folder, copy.deepcopy(self.model), self.settings, on_epoch)

    def _regularised(self, folder: Path, on_epoch: Callable[[Epoch], None]) -> None:
        self._train(folder, fresh(self.model, self.own.seed), replace(self.own, rs=RS), on_epoch)

    def _certified(self, folder: Path, on_epoch: Callable[[Epoch], None]) -> None:
        settings = ibp_settings(self.own, len(self.data.x_train))
        self._train(folder, fresh(self.model, settings.seed), settings, on_epoch)

    def _random(self, folder: Path, on_epoch: Callable[[Epoch], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        model, _ = graft_in_rounds(self.context, "random", self.choices.ratio, self.choices.rounds, self.choices.init)
        if self.choices.finetune_epochs:
            finetune(model, self.data, self.tuned, freeze_weights=self.choices.freeze_weights, run=folder,
                     on_epoch=on_epoch)
        export_grafted(model.cpu(), self.data.input_shape, folder / NETWORK, self.data.x_train, self.context.eps)


def own_settings(known: Mapping[str, Any], recipe: str, eps: float, epochs: int, **changes: Any) -> Settings:
    """Of a training like the network's own: `known` ones (a manifest's), where they are those of a training from the
    start with this recipe; else the recipe's defaults with `epochs`."""
    if known.get("recipe") == recipe:
        return Settings(**{**known, "eps": eps, **changes})
    return settings_for(recipe, eps=eps, epochs=epochs, **changes)


def ibp_settings(like: Settings, images: int) -> Settings:
    """The recipe's defaults with the radius, seed and augmentation of `like`, and as many epochs; more, where these
    would be too few steps for the ramp."""
    steps = math.ceil(images / like.batch)
    return settings_for("ibp", eps=like.eps, epochs=max(like.epochs, math.ceil(IBP_STEPS / steps)), seed=like.seed,
                        device=like.device, batch=like.batch, flip=like.flip, shift=like.shift)


def fresh(model: nn.Module, seed: int) -> nn.Module:
    """A copy with the weights that torch's layers start with, drawn from the seed."""
    copied = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in copied.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return copied
