"""What one pruning schedule is: one frozen value, checked when it is built. Light: nothing heavy is imported here."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from verify.errors import InvalidInput

BOUNDS = ("crown", "ibp")


@dataclass(frozen=True)
class Plan:
    """A schedule of pruning.

    criterion: a name of `pruning.criteria.CRITERIA`. remaining: what is kept of the pruned tensors after each round, in
    (0, 1) and falling; one ratio is one-shot pruning. structured: channels instead of single weights. scope,
    exclude_first, exclude_last: the tensors (`pruning.layers.Scope`). per_layer: the ratio holds in every layer, not
    over all. may_empty: a layer may lose everything. when: scores come from the `trained` network of the round before,
    or from the network at its `init`ial weights. rewind: `init`, `none` or `epoch:K` (`pruning.schedule.Rewind`).

    score_images: training images for gradients. score_epochs: of criteria that learn scores. check_images: validation
    images that are attacked and bounded after every round, and that neurons are bounded on for scores. max_drop_clean,
    max_drop_pgd: a round whose validation accuracy is lower than the dense network's by more than this share ends the
    schedule and cannot be selected (1: never). patience: rounds in a row without a better verified accuracy after which
    the schedule ends (0: never). bounds: CROWN's bounds of hidden layers, `crown`, or `ibp`, which is looser and the
    only one that many neurons allow on a processor (one image of the 7-layer network: 0.2 s instead of minutes).
    """

    criterion: str = "magnitude"
    remaining: tuple[float, ...] = (0.5, 0.25)
    structured: bool = False
    scope: str = "conv"
    exclude_first: bool = False
    exclude_last: bool = False
    per_layer: bool = False
    may_empty: bool = False
    when: str = "trained"
    rewind: str = "init"
    score_images: int = 1024
    score_epochs: int = 20
    check_images: int = 200
    max_drop_clean: float = 0.05
    max_drop_pgd: float = 0.05
    patience: int = 0
    bounds: str = "crown"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "remaining", tuple(float(ratio) for ratio in self.remaining))
        if self.when not in ("trained", "init"):
            raise InvalidInput(f"scores come from the 'trained' network or that at its 'init'ial weights, "
                               f"not from {self.when!r}")
        if self.bounds not in BOUNDS:
            raise InvalidInput(f"bounds of hidden layers come from {' or '.join(BOUNDS)}, not {self.bounds!r}")
        for name in ("score_images", "score_epochs", "check_images"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("max_drop_clean", "max_drop_pgd"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 1):
                raise InvalidInput(f"{name} is a share in [0, 1] (1: any drop is accepted), got {value}")
        if self.when == "init" and self.rewind != "init":
            raise InvalidInput(f"scores at the initial weights go with rewinding to them, not with {self.rewind!r}")
        if self.patience < 0 or self.seed < 0:
            raise InvalidInput(f"patience and seed must not be negative, got {self.patience} and {self.seed}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value
                for name, value in dataclasses.asdict(self).items()}

    @property
    def kind(self) -> str:
        """What one decision removes."""
        return "channel" if self.structured else "weight"
