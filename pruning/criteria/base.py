"""What a criterion is: scores for the units of a mask, the highest of which are worth keeping. It decides nothing.

Which units fall is decided in one place (`pruning.mask.tighten`); so every criterion meets the ratio exactly, and none
can bring back what was pruned.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pruning.mask import Mask
from verify.errors import InvalidInput

Scores = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Context:
    """What scores may depend on besides the network.

    `mask`: what is kept now. `x` (n, c, h, w), `y` (n,): training images, for gradients. `x_held`, `y_held`: images
    whose boxes of radius `eps` the neurons are bounded on. `remaining`: the ratio that is asked for. `loss` takes
    logits and labels to a mean. `batch_statistics`: normalise by the statistics of each batch, for a network before
    training, whose running statistics say nothing yet. `learn` trains what is not frozen in a module, in place, for the
    criteria that learn scores; `epochs` and `lr` are for those where it is not given. `bounds`: CROWN's bounds of
    hidden layers, `crown` or `ibp`.
    """

    mask: Mask
    x: Tensor
    y: Tensor
    x_held: Tensor | None = None
    y_held: Tensor | None = None
    eps: float = 0.0
    remaining: float = 1.0
    batch: int = 128
    seed: int = 0
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    batch_statistics: bool = False
    epochs: int = 20
    lr: float = 0.01
    learn: Callable[[nn.Module, Context], None] | None = None
    bounds: str = "crown"

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The training images in a random order that the seed fixes."""
        if not len(self.x):
            raise InvalidInput("no training images to score on")
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(self.seed))
        for part in order.split(self.batch):
            yield self.x[part], self.y[part]

    def boxes(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The held-out images and labels in order."""
        if self.x_held is None or self.y_held is None or not len(self.x_held):
            raise InvalidInput("no held-out images to bound neurons on; give some validation images")
        yield from zip(self.x_held.split(batch), self.y_held.split(batch), strict=True)


@dataclass(frozen=True)
class Criterion:
    """A rule by name. `kinds`: what it can score, of `pruning.mask.KINDS`. `steps`: in how many steps of equal ratio
    one decision is taken, with new scores in each. `per_layer`: scores of different layers cannot be compared."""

    name: str
    kinds: tuple[str, ...]
    score: Callable[[nn.Module, Context], Scores]
    steps: int = 1
    per_layer: bool = False


def working_copy(model: nn.Module, context: Context) -> nn.Module:
    """A copy to differentiate: masked, with gradients for all parameters, in the mode that the context asks for."""
    copied = copy.deepcopy(model).requires_grad_(True)
    context.mask.apply(copied)
    for module in copied.modules():
        # Only normalisations know the difference here: dropout stays off.
        module.training = context.batch_statistics and isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
    return copied


def per_unit(mask: Mask, values: dict[str, Tensor]) -> Scores:
    """Products of a parameter and a derivative, by parameter name, to one value per unit: the derivative along a factor
    of that weight, or of that channel."""
    if mask.kind == "weight":
        return {name: values[name] for name in mask.keep}
    return {weight: sum(values[name].flatten(1).sum(1) if values[name].dim() > 1 else values[name]
                        for name in mask.gate(weight)) for weight in mask.keep}
