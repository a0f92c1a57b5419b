"""What one training run is: one frozen value, checked when it is built. Light: nothing heavy is imported here.

Every field carries its range, its unit and the reason it exists; the command line is generated from them.
`settings_for` starts from the defaults of a recipe (`training.recipes.<name>.DEFAULTS`).
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import re
from dataclasses import dataclass, field, fields
from typing import Any

from verify.errors import InvalidInput

RECIPES = ("standard", "fgsm", "pgd-at", "trades", "ibp", "crown-ibp")
OPTIMIZERS, SCHEDULES, RAMPS, STARTS, KEEPS = (
    ("sgd", "adam", "adamw"), ("drops", "cosine"), ("linear", "smoothed"), ("zero", "random"), ("last", "best"))
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def _option(default: Any, allowed: str, reason: str, unit: str = "") -> Any:
    return field(default=default, metadata={"range": allowed, "unit": unit, "reason": reason})


@dataclass(frozen=True)
class Settings:
    """One training run. Raises `InvalidInput` naming the setting and what it accepts.

    Fractions are shares of all epochs: the same settings describe a short and a long run.
    """

    recipe: str = _option("standard", ", ".join(RECIPES), "what is minimised")
    eps: float = _option(0.1, ">= 0", "radius of the maximum-norm ball to train for; pixels are in [0, 1]", "pixels")
    epochs: int = _option(30, ">= 1", "passes over the training images")
    batch: int = _option(128, ">= 1", "images per step, at most; all steps of an epoch are equally large to one image")
    optimizer: str = _option("adam", " or ".join(OPTIMIZERS), "rule that moves the weights")
    lr: float = _option(1e-3, "> 0", "learning rate at the start")
    momentum: float = _option(0.9, "0 to 1", "share of the last move that sgd keeps")
    weight_decay: float = _option(0.0, ">= 0", "pull of all weights towards 0")
    lr_schedule: str = _option("drops", " or ".join(SCHEDULES), "how the learning rate falls")
    lr_drops: tuple[float, ...] = _option((), "fractions between 0 and 1", "where `drops` lowers the learning rate")
    lr_factor: float = _option(0.1, "0 to 1", "what each drop multiplies it with")
    ramp: tuple[float, float] = _option((0.0, 0.0), "two fractions, the second not smaller",
                                        "eps grows from 0 to its value between these: certified training needs it")
    ramp_shape: str = _option("smoothed", " or ".join(RAMPS), "shape of the growth of eps")
    kappa: tuple[float, float] = _option((1.0, 0.0), "two weights from 0 to 1",
                                         "weight of the clean loss beside the certified one, at both ends of the ramp")
    steps: int = _option(10, ">= 1", "gradient steps of the attack in pgd-at and trades")
    step_size: float = _option(0.25, "> 0", "length of one attack step", "eps")
    start: str = _option("random", " or ".join(STARTS), "where the attack starts in the ball")
    gradalign: float = _option(0.0, ">= 0", "weight of the gradient alignment that keeps fgsm from overfitting")
    trades_beta: float = _option(6.0, ">= 0", "weight of the robust term in trades")
    rs: float = _option(0.0, ">= 0", "weight of the ReLU stability regulariser (Xiao et al. 2019)")
    nrs: float = _option(0.0, ">= 0", "weight of its form normalised by batch norm scales (Li et al. 2022)")
    l1_scales: float = _option(0.0, ">= 0", "weight of |scale| summed over batch norms (network slimming)")
    flip: bool = _option(False, "yes or no", "mirror images at random; not for digits")
    shift: int = _option(0, ">= 0", "move images at random by up to this, edges filled with 0", "pixels")
    clip_grad: float = _option(0.0, ">= 0", "largest norm of the gradient of a step; 0: any")
    seed: int = _option(0, ">= 0", "seed of everything random; equal seeds give equal runs")
    device: str = _option("auto", "auto, cpu, cuda or cuda:N", "where to train")
    amp: bool = _option(False, "yes or no", "mixed precision outside of the bounds; needs a CUDA device")
    keep: str = _option("last", " or ".join(KEEPS), "which epoch's weights: the last one's, or those with the best "
                        "(for eps > 0: attacked) validation accuracy after the ramp")

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipe", self.recipe.replace("_", "-"))
        for name in ("lr_drops", "ramp", "kappa"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _choices(self, recipe=RECIPES, optimizer=OPTIMIZERS, lr_schedule=SCHEDULES, ramp_shape=RAMPS, start=STARTS,
                 keep=KEEPS)
        for name in ("eps", "weight_decay", "gradalign", "trades_beta", "rs", "nrs", "l1_scales", "clip_grad"):
            _require(self, name, lambda value: value >= 0)
        for name in ("lr", "step_size"):
            _require(self, name, lambda value: value > 0)
        for name in ("momentum", "lr_factor"):
            _require(self, name, lambda value: 0 <= value <= 1)
        for name in ("epochs", "batch", "steps"):
            _require(self, name, lambda value: value >= 1 and value == int(value))
        for name in ("seed", "shift"):
            _require(self, name, lambda value: value >= 0 and value == int(value))
        if not all(_number(drop) and 0 < drop < 1 for drop in self.lr_drops):
            raise _wrong(self, "lr_drops")
        for name in ("ramp", "kappa"):
            pair = getattr(self, name)
            if len(pair) != 2 or not all(_number(value) and 0 <= value <= 1 for value in pair):
                raise _wrong(self, name)
        if self.ramp[0] > self.ramp[1]:
            raise _wrong(self, "ramp")
        if not _DEVICE.fullmatch(self.device):
            raise _wrong(self, "device")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for manifests: tuples become lists."""
        return {name: list(value) if isinstance(value, tuple) else value
                for name, value in dataclasses.asdict(self).items()}


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(settings: Settings, name: str) -> InvalidInput:
    data = next(entry for entry in fields(Settings) if entry.name == name).metadata
    value = getattr(settings, name)
    return InvalidInput(f"--{name.replace('_', '-')} takes {data['range']}, got {value!r}")


def _require(settings: Settings, name: str, holds) -> None:
    value = getattr(settings, name)
    if not (_number(value) and holds(value)):
        raise _wrong(settings, name)


def _choices(settings: Settings, **allowed: tuple[str, ...]) -> None:
    for name, values in allowed.items():
        if getattr(settings, name) not in values:
            raise _wrong(settings, name)


def recipe_module(recipe: str):
    """The module `training.recipes.<recipe>`. Raises `InvalidInput` for another name."""
    if recipe.replace("_", "-") not in RECIPES:
        raise InvalidInput(f"there is no recipe {recipe!r}; there are {', '.join(RECIPES)}")
    return importlib.import_module(f"training.recipes.{recipe.replace('-', '_')}")


def settings_for(recipe: str, **changes: Any) -> Settings:
    """The recipe's defaults with `changes`. Raises `InvalidInput` for names that are no settings."""
    known = {entry.name for entry in fields(Settings)} - {"recipe"}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise InvalidInput(f"there is no setting {', '.join(map(repr, unknown))}; there are {', '.join(sorted(known))}")
    return Settings(recipe=recipe, **{**recipe_module(recipe).DEFAULTS, **changes})


def help_text(name: str) -> str:
    """One line about a setting: reason, range and unit."""
    data = next(entry for entry in fields(Settings) if entry.name == name).metadata
    unit = f" {data['unit']}" if data["unit"] else ""
    return f"{data['reason']} ({data['range']}{unit})"
