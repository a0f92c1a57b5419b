"""Fine-tuning of a grafted network, as Chen et al. (ICML 2022) do it: from the trained weights, with the loss of the
first training, SGD with momentum 0.9 and a cosine schedule; slopes and intercepts at rate 0.01 without weight decay,
all other weights at rate 0.001 with weight decay 5e-4. The masks stay what they are.

Two options of ours: a certified term, (1 - w) clean loss + w loss of interval bounds (recipe `ibp`, or `crown-ibp`),
which takes the place of the first training's loss, and frozen weights (slopes and intercepts only; the statistics of
batch normalisations stay, too).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from grafting.sites import grafted
from training.data import Data
from training.loop import Epoch, silent, train
from training.settings import Settings, settings_for
from verify.errors import InvalidInput
from verify.live import NORMALISATIONS

LINE_RATE, RATE, DECAY = 0.01, 0.001, 5e-4
CERTIFIED = ("ibp", "crown-ibp")


def finetune_settings(recipe: str, eps: float, epochs: int, *, certified: float = 0.0, by: str = "ibp", **changes: Any
                      ) -> Settings:
    """The paper's settings around the loss of `recipe`, with `changes`; `certified` in (0, 1] is the weight w of the
    certified term, whose radius grows to `eps` in the first third of the epochs. Raises `InvalidInput`."""
    if not 0 <= certified <= 1:
        raise InvalidInput(f"the weight of the certified term must be in [0, 1], got {certified}")
    if by not in CERTIFIED:
        raise InvalidInput(f"the certified term comes from {' or '.join(CERTIFIED)}, got {by!r}")
    paper = {"optimizer": "sgd", "momentum": 0.9, "lr": RATE, "weight_decay": DECAY, "lr_schedule": "cosine",
             "ramp": (0.0, 0.0)}
    if certified:
        recipe = by
        paper |= {"ramp": (0.0, 1 / 3), "kappa": (1 - certified, 1 - certified)}
    return settings_for(recipe, **{**paper, "eps": eps, "epochs": epochs, **changes})


def finetune(model: nn.Module, data: Data, settings: Settings, *, line_rate: float = LINE_RATE,
             freeze_weights: bool = False, run: Path | None = None, on_epoch: Callable[[Epoch], None] = silent
             ) -> list[Epoch]:
    """Trains a grafted model in place; see `training.loop.train` for `run` (it resumes from there) and `on_epoch`.

    Raises `InvalidInput` when the model has no line that could be trained.
    """
    lines = [p for _, module in grafted(model) for p in (module.slope, module.intercept) if p.requires_grad]
    if not lines:
        raise InvalidInput("the network has no grafted neurons whose lines are trained; graft it first (not as `zero`)")
    if not line_rate > 0:
        raise InvalidInput(f"the learning rate of slopes and intercepts must be positive, got {line_rate}")
    mine = {id(p) for p in lines}
    weights = [p for p in model.parameters() if p.requires_grad and id(p) not in mine]
    groups: list[dict[str, Any]] = [{"params": lines, "lr": line_rate, "weight_decay": 0.0}]
    if freeze_weights:
        with _frozen(model, weights):
            return train(model, data, settings, run=run, groups=groups, on_epoch=on_epoch)
    return train(model, data, settings, run=run, groups=[*groups, {"params": weights}], on_epoch=on_epoch)


@contextmanager
def _frozen(model: nn.Module, weights: list[nn.Parameter]) -> Iterator[None]:
    """Weights without gradients, batch normalisations that do not move their statistics."""
    norms = [(m, m.momentum) for m in model.modules() if isinstance(m, NORMALISATIONS)]
    for p in weights:
        p.requires_grad_(False)
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for p in weights:
            p.requires_grad_(True)
        for norm, momentum in norms:
            norm.momentum = momentum
