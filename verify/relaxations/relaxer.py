"""Primitive type -> relaxation, and the named choices of the papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch

from torch import Tensor

from verify.errors import BrokenInvariant
from verify.ops import Op, Relu, SShaped
from verify.relaxations.base import Lines
from verify.relaxations.relu import PlainReluLines, relu_lines
from verify.relaxations.s_shaped import s_shaped_lines
from verify.sets import Interval


@dataclass(frozen=True)
class Relaxer:
    """How nonlinear nodes are enclosed: `relu` is a key of `LOWER_SLOPES`; `alpha` overrides it node by node with
    optimised slopes, (n, *shape) or (n, r, *shape). Without `rounded` they are not moved outward for their rounding:
    for training, never for a verdict."""

    relu: str = "adaptive"
    alpha: Mapping[str, Tensor] = field(default_factory=dict)
    rounded: bool = True

    def lines(self, name: str, op: Op, pre: Interval) -> Lines:
        """The lines of node `name` on its pre-activation interval."""
        return _lines(op, pre, self, name)


@singledispatch
def _lines(op: Op, pre: Interval, relaxer: Relaxer, name: str) -> Lines:
    raise BrokenInvariant(f"no relaxation is registered for {type(op).__name__} (node {name!r})")


@_lines.register
def _(op: Relu, pre: Interval, relaxer: Relaxer, name: str) -> Lines:
    if not relaxer.rounded:
        return PlainReluLines(pre)
    return relu_lines(pre, relaxer.alpha.get(name), relaxer.relu)


@_lines.register
def _(op: SShaped, pre: Interval, relaxer: Relaxer, name: str) -> Lines:
    return s_shaped_lines(op, pre)


CROWN = Relaxer("adaptive")
FASTLIN = Relaxer("parallel")
TRAINING = Relaxer("adaptive", rounded=False)
