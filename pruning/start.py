"""Where a schedule starts: the network as it was trained, its weights before that, and how it was trained.

A run of `verify train --arch` knows all of it. An ONNX file knows the trained weights alone: there is nothing to rewind
to, and how to train on has to be said.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from pruning.lossless import LosslessReport, lossless
from pruning.plan import Plan
from pruning.schedule import State, saved
from training.data import Data
from training.data.dataset import stratified
from training.export import LoadedModel
from training.models import build
from training.settings import Settings, settings_for
from verify.errors import InvalidInput

DOMAIN = (torch.zeros(()), torch.ones(()))
"""The lossless pass is about images: pixels between these."""


@dataclass(frozen=True, eq=False)
class Start:
    """`model` holds the weights that rounds rewind to; `dense` the trained ones, None where round 0 has to train them
    again; `known`: whether `model` is at its initial weights. `notes`: for the report."""

    model: nn.Module
    dense: State | None
    known: bool
    notes: tuple[str, ...]


def has_initial(loaded: LoadedModel) -> bool:
    """Whether the weights before training can be had: the network was built fresh, from a seed."""
    return loaded.build is not None and bool((loaded.manifest or {}).get("arch"))


def begin(loaded: LoadedModel, plan: Plan, method: str) -> Start:
    """What `prune` starts from. First the lossless pass by `method` (`off`, `ibp` or `crown`) over all images.

    Raises `InvalidInput` where the plan rewinds to weights that are not known."""
    needs = plan.rewind != "none" or plan.when == "init"
    if needs and not has_initial(loaded):
        raise InvalidInput(f"cannot rewind to {plan.rewind}: the weights that this network was trained from are not "
                           "known (only a run of `verify train --arch` has them). Use --rewind none with --when "
                           "trained")
    # The training that follows wants its batch normalisations.
    small, report = (None, None) if method == "off" else lossless(loaded.module, loaded.input_shape, DOMAIN, method,
                                                                  fold=False)
    notes = () if report is None else (_note(report, applied=not needs),)
    if needs:
        dense = None if plan.rewind.startswith("epoch") else saved(loaded.module)
        return Start(build(**loaded.build), dense, True, notes)
    model = small if report is not None and removed(report) else copy.deepcopy(loaded.module)
    return Start(model, saved(model), False, notes)


def removed(report: LosslessReport) -> bool:
    """Whether bounds removed a channel or a ReLU."""
    return any(layer.linear or layer.kept < layer.channels for layer in report.layers)


def _note(report: LosslessReport, applied: bool) -> str:
    found = f"{report.parameters[0]} -> {report.parameters[1]} parameters"
    if not removed(report):
        return "Lossless pass before pruning, over all images: nothing could be removed."
    return (f"Lossless pass before pruning, over all images: {found}" + (
        "; pruning started from the smaller network." if applied else
        "; not used, for the rounds rewind to weights for which it does not hold (--rewind none would use it)."))


def settings_of(loaded: LoadedModel, recipe: str | None, changes: Mapping[str, Any]) -> Settings:
    """How rounds are trained: as the network was, by its manifest, with `changes`; by `recipe`, where one is named.

    Raises `InvalidInput` where neither says it."""
    known = dict((loaded.manifest or {}).get("settings") or {})
    if recipe is None and not known:
        raise InvalidInput("the network does not say how it was trained: --recipe is needed, and --eps")
    unknown = sorted(set(known) - {entry.name for entry in dataclasses.fields(Settings)})
    if recipe is not None and (unknown or known.get("recipe") != recipe):
        kept = {name: known[name] for name in ("eps", "epochs", "seed", "flip", "shift", "batch") if name in known}
        if "eps" not in {**kept, **changes}:
            raise InvalidInput("the network does not say what radius it is for: --eps is needed")
        return settings_for(recipe, **{**kept, **changes})
    if unknown:
        raise InvalidInput(f"the network's manifest has settings of another version ({', '.join(unknown)}): --recipe "
                           "is needed, and --eps")
    return Settings(**{**known, "device": "auto", "amp": False, **changes})


def chosen_test(data: Data, count: int, seed: int) -> Data:
    """The same data with `count` of its test images, every class in proportion."""
    if not len(data.x_test):
        raise InvalidInput(f"{data.name} has no test images for the report")
    count = min(count, len(data.x_test))
    where = stratified(data.y_test.numpy(), count, np.random.default_rng(seed))
    index = data.test_index or tuple(range(len(data.x_test)))
    return dataclasses.replace(data, x_test=data.x_test[where], y_test=data.y_test[where],
                               test_index=tuple(index[k] for k in where.tolist()))


def split_note(loaded: LoadedModel, data: Data) -> str | None:
    """A warning where the validation images may be among those that the network was trained on."""
    known = ((loaded.manifest or {}).get("data") or {}).get("digest")
    if known is None:
        return ("The network does not say what it was trained on: validation images may be among its training images, "
                "which flatters the dense network when rounds are compared.")
    return None if known == data.digest else (
        "The network was trained on other data, or split otherwise: validation images may be among its training "
        "images, which flatters the dense network when rounds are compared. (Same --train, --validation and --seed?)")
