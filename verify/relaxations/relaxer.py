"""Primitive type -> relaxation, and the named choices of the papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch

from torch import Tensor

from verify.errors import BrokenInvariant
from verify.ops import Op, Product, Relu
from verify.ops.curve import Curve
from verify.ops.difference import Difference
from verify.relaxations.base import Lines, Planes
from verify.relaxations.curve import curve_lines
from verify.relaxations.difference import difference_planes
from verify.relaxations.mccormick import mccormick
from verify.relaxations.positions import positioned_lines
from verify.relaxations.relu import PlainReluLines, relu_lines
from verify.sets import Interval


@dataclass(frozen=True)
class Relaxer:
    """How nonlinear nodes are enclosed: `relu` is a key of `LOWER_SLOPES`; `alpha` overrides it node by node with
    optimised slopes, (n, *shape) or (n, r, *shape), of products and curves with positions between two lines of the
    lower and of the upper side, (2, n, r, *shape). Without `rounded` they are not moved outward for their rounding:
    for training, never for a verdict."""

    relu: str = "adaptive"
    alpha: Mapping[str, Tensor] = field(default_factory=dict)
    rounded: bool = True

    def lines(self, name: str, op: Op, *pres: Interval) -> Lines | Planes:
        """The lines of node `name` on the intervals of its inputs."""
        return _lines(op, pres, self, name)


@singledispatch
def _lines(op: Op, pres: tuple[Interval, ...], relaxer: Relaxer, name: str) -> Lines | Planes:
    raise BrokenInvariant(f"no relaxation is registered for {type(op).__name__} (node {name!r})")


@_lines.register
def _(op: Relu, pres: tuple[Interval, ...], relaxer: Relaxer, name: str) -> Lines:
    if not relaxer.rounded:
        return PlainReluLines(pres[0])
    return relu_lines(pres[0], relaxer.alpha.get(name), relaxer.relu)


@_lines.register
def _(op: Curve, pres: tuple[Interval, ...], relaxer: Relaxer, name: str) -> Lines:
    if name in relaxer.alpha:
        return positioned_lines(op, pres[0], relaxer.alpha[name])
    return curve_lines(op, pres[0])


@_lines.register
def _(op: Product, pres: tuple[Interval, ...], relaxer: Relaxer, name: str) -> Planes:
    return mccormick(*pres, relaxer.alpha.get(name))


@_lines.register
def _(op: Difference, pres: tuple[Interval, ...], relaxer: Relaxer, name: str) -> Planes:
    return difference_planes(op, *pres, relaxer.alpha.get(name))


CROWN = Relaxer("adaptive")
FASTLIN = Relaxer("parallel")
TRAINING = Relaxer("adaptive", rounded=False)
