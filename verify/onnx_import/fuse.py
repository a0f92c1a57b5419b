"""Compositions that are one curve: the forms in which exporters write activation functions out.

    a x sigmoid(b x)                           = a Silu_b(x) for b > 0, -a Silu_|b|(-x) for b < 0
    a x (1 + erf(b x))                         = (2 a / c) Gelu(c x),      c = sqrt(2) b
    a x min(max(b x + h / 2, 0), h)            = (h^2 a / (6 b)) HardSwish(6 b x / h)
    a x tanh(log(1 + exp(x)))                  = a Mish(x)
    a x / (1 + |x|)                            = a / (1 + relu(-x)) - a / (1 + relu(x))
    1 / (1 + exp(x)), log(1 + exp(x))          = sigmoid(-x), softplus(x)
    log(sigmoid(x))                            = -softplus(-x)
    x^j x^k, 1 / sqrt(x)                       = x^(j + k), x^(-1/2)

One curve has much tighter bounds than a product or a chain of curves. The constants of the file stay as they are, also
where they are roundings of sqrt(2) and the like: the right sides hold for all a, b and h.

Applied to imported graphs before anything is merged. The scales that are read then are constants of the file or their
reciprocals, which are rounded once at most, and no more than three times `SCALES` of them meet in a new one, so that it
stays within what `simplify` allows for a factor. Nodes that round (`Node.roundings`) are what the file says: they stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType

import torch
from torch import Tensor

from verify.graph import Graph, Node
from verify.onnx_import.rewrite import Match, apply_everywhere, fresh
from verify.ops import (
    Add,
    Affine,
    Erf,
    Exp,
    Gelu,
    HardSwish,
    Log,
    Mish,
    Op,
    Power,
    Product,
    Reciprocal,
    Relu,
    Sigmoid,
    Silu,
    Softplus,
    Sqrt,
    Tanh,
)

SCALES = 2
"""How many scales in a row are read as one."""
ROOT = Fraction(14142135623730950488016887242096980785696718753769, 10**49)
"""sqrt(2), to 50 digits."""


def fuse(graph: Graph) -> Graph:
    """The same function with fewer products; graphs in other dtypes than float64 are returned as they are."""
    if graph.dtype != torch.float64:
        return graph
    while True:
        before = graph
        for rule in (_powers, _chains, _gates, _softsign):
            graph = apply_everywhere(graph, rule)
        if graph is before:
            return graph


@dataclass(frozen=True)
class _Line:
    """A value as scale * base + shift, with numbers that hold for all entries and are the product of `steps` of the
    graph's."""

    base: Node
    scale: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)
    steps: int = 0

    @property
    def input(self) -> str:
        """What the base reads."""
        return self.base.inputs[0]


def _number(value: Tensor | None, default: int) -> Fraction | None:
    """The one number that all entries have, or None."""
    if value is None:
        return Fraction(default)
    first = value.flatten()[0]
    return Fraction(float(first)) if bool((value == first).all()) else None


def _line(graph: Graph, name: str) -> _Line:
    """What is above the affine maps that end in `name`."""
    line = _Line(graph[name])
    while isinstance(line.base.op, Affine) and line.base.op.shift_magnitude is None and line.base.roundings is None:
        scale, shift = _number(line.base.op.scale, 1), _number(line.base.op.shift, 0)
        below = graph[line.input]
        if not scale or shift is None or below.shape != line.base.shape:
            break
        steps = line.steps + (abs(scale) != 1)
        if steps > SCALES:
            break
        line = _Line(below, line.scale * scale, line.scale * shift + line.shift, steps)
    return line


def _curve(graph: Graph, node: Node, op: Op, name: str, inner: Fraction, outer: Fraction) -> Match:
    """node = outer * op(inner * name)."""
    nodes = []

    def append(label: str, op: Op) -> None:
        source = nodes[-1].name if nodes else name
        nodes.append(Node(fresh(graph, f"{node.name}~{label}"), op, (source,), node.shape))

    if inner != 1:
        append("inner", Affine(torch.tensor(float(inner), dtype=torch.float64)))
    append("curve", op)
    if outer != 1:
        append("outer", Affine(torch.tensor(float(outer), dtype=torch.float64)))
    return Match(node, (*nodes[:-1], replace(nodes[-1], name=node.name)))


def _factors(graph: Graph, node: Node) -> tuple[tuple[_Line, _Line], ...]:
    """The factors of a product in both orders."""
    if not isinstance(node.op, Product) or node.roundings is not None:
        return ()
    first, second = (_line(graph, name) for name in node.inputs)
    return (first, second), (second, first)


def _powers(graph: Graph, node: Node) -> Match | None:
    """a x^j b x^k = a b x^(j + k)."""
    for first, second in _factors(graph, node)[:1]:
        (one, j), (other, k) = _root(graph, first), _root(graph, second)
        if one == other and first.shift == second.shift == 0:
            return _curve(graph, node, Power(j + k), one, Fraction(1), first.scale * second.scale)
    return None


def _root(graph: Graph, line: _Line) -> tuple[str, int]:
    """The base as (x, k) for x^k, k a positive integer."""
    op = line.base.op
    if isinstance(op, Power) and line.base.roundings is None and op.exponent > 0 and float(op.exponent).is_integer():
        return line.input, int(op.exponent)
    return line.base.name, 1


def _chains(graph: Graph, node: Node) -> Match | None:
    """Curves of curves."""
    if not isinstance(node.op, (Reciprocal, Log)) or node.roundings is not None:
        return None
    line, one = _line(graph, node.inputs[0]), Fraction(1)
    kind = (type(node.op), type(line.base.op))
    if kind == (Reciprocal, Sqrt) and line.scale == 1 and line.shift == 0:
        return _curve(graph, node, Power(-0.5), line.input, one, one)
    if kind == (Reciprocal, Exp) and line.scale == line.shift > 0:
        return _curve(graph, node, Sigmoid(), line.input, -one, 1 / line.scale)
    if kind == (Log, Exp) and line.scale == line.shift == 1:
        return _curve(graph, node, Softplus(), line.input, one, one)
    if kind == (Log, Sigmoid) and line.scale == 1 and line.shift == 0:
        return _curve(graph, node, Softplus(), line.input, -one, -one)
    return None


def _gates(graph: Graph, node: Node) -> Match | None:
    """a x times a function of x that grows from 0 to a constant."""
    for value, gate in _factors(graph, node):
        rule = GATES.get(type(gate.base.op))
        found = rule(graph, value, gate) if rule is not None and value.shift == 0 else None
        if found is not None:
            return _curve(graph, node, found[0], value.base.name, *found[1:])
    return None


_Gated = tuple[Op, Fraction, Fraction] | None
"""(curve, inner, outer): outer * curve(inner * x)."""


def _silu(graph: Graph, value: _Line, gate: _Line) -> _Gated:
    z = _line(graph, gate.input)
    if z.base is not value.base or z.shift != 0 or gate.shift != 0:
        return None
    side = Fraction(1 if z.scale > 0 else -1)
    return Silu(float(abs(z.scale))), side, side * value.scale * gate.scale


def _gelu(graph: Graph, value: _Line, gate: _Line) -> _Gated:
    z = _line(graph, gate.input)
    if z.base is not value.base or z.shift != 0 or gate.shift != gate.scale:
        return None
    inner = ROOT * z.scale
    return Gelu(), inner, 2 * value.scale * gate.scale / inner


def _hard_swish(graph: Graph, value: _Line, gate: _Line) -> _Gated:
    """The gate is relu(b x + h / 2) - relu(b x - h / 2)."""
    sides = [graph[name] for name in gate.base.inputs]
    if gate.shift != 0 or gate.base.op.signs != (1, -1) or not all(isinstance(side.op, Relu) for side in sides):
        return None
    low, high = (_line(graph, side.inputs[0]) for side in sides)
    if not low.base is high.base is value.base or low.scale != high.scale or not low.shift == -high.shift > 0:
        return None
    height = 2 * low.shift
    outer = value.scale * gate.scale * height**2 / (6 * low.scale)
    return HardSwish(), 6 * low.scale / height, outer


def _mish(graph: Graph, value: _Line, gate: _Line) -> _Gated:
    growth = graph[gate.input]
    if not isinstance(growth.op, Softplus) or growth.op.beta != 1 or gate.shift != 0:
        return None
    z = _line(graph, growth.inputs[0])
    if z.base is not value.base or z.scale != 1 or z.shift != 0:
        return None
    return Mish(), Fraction(1), value.scale * gate.scale


GATES: MappingProxyType[type, Callable[[Graph, _Line, _Line], _Gated]] = MappingProxyType({
    Sigmoid: _silu, Erf: _gelu, Add: _hard_swish, Tanh: _mish,
})


def _softsign(graph: Graph, node: Node) -> Match | None:
    for value, gate in _factors(graph, node):
        if not isinstance(gate.base.op, Reciprocal) or gate.shift != 0 or value.shift != 0:
            continue
        below = _line(graph, gate.input)
        sides = _sides(graph, below.base, value.base)
        if sides is None or below.scale != 1 or below.shift != 1:
            continue
        nodes = []
        for side, label in zip(sides, ("left", "right"), strict=True):
            more = Node(fresh(graph, f"{node.name}~{label}"), _plus_one(), (side,), node.shape)
            nodes += [more, Node(fresh(graph, f"{node.name}~{label}-part"), Reciprocal(), (more.name,), node.shape)]
        total = Node(fresh(graph, f"{node.name}~parts"), Add((1, -1)), (nodes[1].name, nodes[3].name), node.shape)
        scale = Affine(torch.tensor(float(value.scale * gate.scale), dtype=torch.float64))
        return Match(node, (*nodes, total, replace(node, op=scale, inputs=(total.name,))))
    return None


def _plus_one() -> Affine:
    return Affine(shift=torch.ones((), dtype=torch.float64))


def _sides(graph: Graph, node: Node, x: Node) -> tuple[str, str] | None:
    """The names of relu(-x) and relu(x), where the node is their sum |x|."""
    if not isinstance(node.op, Add) or node.op.signs != (1, 1) or node.roundings is not None:
        return None
    found = {}
    for name in node.inputs:
        line = _line(graph, graph[name].inputs[0]) if isinstance(graph[name].op, Relu) else None
        if line is not None and line.base is x and line.shift == 0:
            found[line.scale] = name
    return (found[-1], found[1]) if found.keys() == {1, -1} else None
