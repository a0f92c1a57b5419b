"""What a grafting run is asked for, checked when it is built."""

from __future__ import annotations

from dataclasses import dataclass

from grafting.graft import INITS
from grafting.scores import SCORES
from grafting.select import check_ratio
from grafting.stability import METHODS
from verify.errors import InvalidInput


@dataclass(frozen=True)
class Choices:
    """What is grafted and how it is trained on; fields as on the command line."""

    eps: float
    score: str = "low-magnitude"
    ratio: float = 0.5
    layerwise: bool = False
    rounds: int = 1
    init: str = "least-squares"
    bounds: str = "alpha-crown"
    calibration: int = 500
    bounded: int = 100
    finetune_epochs: int = 0
    recipe: str | None = None
    freeze_weights: bool = False
    certified: float = 0.0
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        for name, value, known in (("score", self.score, SCORES), ("init", self.init, INITS),
                                   ("bounds", self.bounds, METHODS)):
            if value not in known:
                raise InvalidInput(f"--{name} takes {', '.join(known)}, got {value!r}")
        for name, least in (("rounds", 1), ("calibration", 1), ("bounded", 1), ("finetune_epochs", 0)):
            if getattr(self, name) < least:
                raise InvalidInput(f"--{name.replace('_', '-')} must be at least {least}, got {getattr(self, name)}")
        if not self.eps >= 0:
            raise InvalidInput(f"--eps must not be negative, got {self.eps}")
        if self.init == "zero" and self.finetune_epochs and self.freeze_weights:
            raise InvalidInput("--init zero with --freeze-weights leaves nothing to fine-tune")
