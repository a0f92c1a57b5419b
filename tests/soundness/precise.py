"""The value of a network at a rational point: exact where its operators are rational (products, powers, quotients,
steps), within about 2^-`BITS` of the exact value where they are not.

Shares no code with the verifier but the graph of primitives, whose matrices are read off as in `exact`; functions are
those of mpmath. Not a proof about a box: a point found elsewhere is confirmed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from mpmath import mp, mpf

from tests.soundness.exact import ExactLinear
from verify import ops
from verify.graph import Graph, Node

BITS, LONGEST = 300, 6000
"""Bits of functions that are not rational; fractions with more digits than `LONGEST` bits are rounded to `BITS`."""


class Undefined(ValueError):
    """A function is asked for a value outside of its domain."""


def _rational(function: Callable[[Any, Fraction], Any]) -> Callable[[Any, Fraction], Fraction]:
    return lambda op, x: Fraction(function(op, x))


def _real(function: Callable[[Any, mpf], mpf]) -> Callable[[Any, Fraction], Fraction]:
    """`function` of a real number; everything but a real value is refused."""
    def value(op, x: Fraction) -> Fraction:
        with mp.workprec(BITS):
            try:
                y = function(op, mp.mpf(x.numerator) / x.denominator)
            except ZeroDivisionError as error:
                raise Undefined(str(error)) from error
            if isinstance(y, mp.mpc) or not mp.isfinite(y):
                raise Undefined(f"{type(op).__name__} at {float(x)}")
            return _fraction(y)

    return value


def _fraction(y: mpf) -> Fraction:
    sign, mantissa, exponent, _ = y._mpf_
    magnitude = Fraction(int(mantissa)) * Fraction(2) ** exponent
    return -magnitude if sign else magnitude


def _sign(x: Fraction) -> int:
    return (x > 0) - (x < 0)


def _logistic(x: mpf) -> mpf:
    return 1 / (1 + mp.exp(-x))


def _elu(op: ops.Elu, x: mpf) -> mpf:
    return mpf(op.gamma) * (x if x > 0 else mpf(op.alpha) * mp.expm1(mpf(op.beta) * x))


def _power(op: ops.Power, x: Fraction) -> Fraction:
    if float(op.exponent).is_integer():
        if x == 0 and op.exponent < 0:
            raise Undefined("a negative power of 0")
        return x ** int(op.exponent)
    if x < 0 or (x == 0 and op.exponent < 0):
        raise Undefined(f"{float(x)} to the power {op.exponent}")
    return _real(lambda op, z: mp.power(z, mpf(op.exponent)))(op, x)


def _reciprocal(op: ops.Reciprocal, x: Fraction) -> Fraction:
    if x == 0:
        raise Undefined("1 / 0")
    return 1 / x


def _gelu_tanh(op: ops.GeluTanh, x: mpf) -> mpf:
    return x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mpf(0.044715) * x**3)))


FUNCTIONS: MappingProxyType[type, Callable[[Any, Fraction], Fraction]] = MappingProxyType({
    ops.Relu: _rational(lambda op, x: max(x, 0)), ops.Floor: _rational(lambda op, x: math.floor(x)),
    ops.Ceil: _rational(lambda op, x: math.ceil(x)), ops.Round: _rational(lambda op, x: round(x)),
    ops.Sign: _rational(lambda op, x: _sign(x)),
    ops.Positive: _rational(lambda op, x: x > 0 or (x == 0 and op.or_zero)),
    ops.HardSwish: _rational(lambda op, x: x * min(max(x + 3, 0), 6) / 6),
    ops.Power: _power, ops.Reciprocal: _reciprocal,
    ops.Exp: _real(lambda op, x: mp.exp(x)), ops.Log: _real(lambda op, x: mp.log(x)),
    ops.Sqrt: _real(lambda op, x: mp.sqrt(x)), ops.Softplus: _real(
        lambda op, x: mp.log1p(mp.exp(mpf(op.beta) * x)) / mpf(op.beta)),
    ops.Elu: _real(_elu), ops.Sigmoid: _real(lambda op, x: _logistic(x)), ops.Tanh: _real(lambda op, x: mp.tanh(x)),
    ops.Erf: _real(lambda op, x: mp.erf(x)), ops.Gelu: _real(lambda op, x: x * mp.erfc(-x / mp.sqrt(2)) / 2),
    ops.GeluTanh: _real(_gelu_tanh), ops.Silu: _real(lambda op, x: x * _logistic(mpf(op.beta) * x)),
    ops.Mish: _real(lambda op, x: x * mp.tanh(mp.log1p(mp.exp(x)))),
    ops.Sin: _real(lambda op, x: mp.sin(x)), ops.Cos: _real(lambda op, x: mp.cos(x)),
    ops.Tan: _real(lambda op, x: mp.tan(x)), ops.Asin: _real(lambda op, x: mp.asin(x)),
    ops.Acos: _real(lambda op, x: mp.acos(x)), ops.Atan: _real(lambda op, x: mp.atan(x)),
    ops.Sinh: _real(lambda op, x: mp.sinh(x)), ops.Cosh: _real(lambda op, x: mp.cosh(x)),
    ops.Asinh: _real(lambda op, x: mp.asinh(x)), ops.Acosh: _real(lambda op, x: mp.acosh(x)),
    ops.Atanh: _real(lambda op, x: mp.atanh(x)),
})


@dataclass(frozen=True, eq=False)
class PreciseNetwork:
    """A graph with its matrices as fractions: per linear node and output row the (input, entry, weight) terms."""

    graph: Graph
    rows: dict[str, tuple[tuple[tuple[tuple[int, int, Fraction], ...], Fraction], ...]]

    @classmethod
    def of(cls, graph: Graph) -> PreciseNetwork:
        for node in graph.nodes:
            if not (node.op.linear or isinstance(node.op, ops.Product) or type(node.op) in FUNCTIONS):
                raise TypeError(f"{node.name}: no precise evaluation of {type(node.op).__name__}")
        nodes = (node for node in graph.nodes if node.op.linear and not isinstance(node.op, ops.Input))
        return cls(graph, {node.name: _terms(graph, node) for node in nodes})

    def evaluate(self, x: list[Fraction]) -> list[Fraction]:
        """The outputs at a rational point. Raises `Undefined` where there is no value."""
        values: dict[str, list[Fraction]] = {}
        for node in self.graph.nodes:
            read = [values[name] for name in node.inputs]
            if isinstance(node.op, ops.Input):
                found = [Fraction(v) for v in x]
            elif node.op.linear:
                found = [sum((w * read[k][i] for k, i, w in terms), offset) for terms, offset in self.rows[node.name]]
            elif isinstance(node.op, ops.Product):
                found = [a * b for a, b in zip(*read, strict=True)]
            else:
                found = [FUNCTIONS[type(node.op)](node.op, v) for v in read[0]]
            values[node.name] = [_short(v) for v in found]
        return values[self.graph.output]


def _terms(graph: Graph, node: Node):
    linear = ExactLinear.of(graph, node)
    unit = Fraction(1, 1 << linear.offset.exponent)
    rows = []
    for o, offset in enumerate(linear.offset.numbers):
        terms = [(k, int(i), Fraction(int(number), 1 << weights.exponent))
                 for k, part in enumerate(linear.weights) for columns, weights in [part[o]]
                 for i, number in zip(columns, weights.numbers, strict=True)]
        rows.append((tuple(terms), int(offset) * unit))
    return tuple(rows)


def _short(x: Fraction) -> Fraction:
    if x.denominator.bit_length() + x.numerator.bit_length() <= LONGEST:
        return x
    with mp.workprec(BITS):
        return _fraction(mp.mpf(x.numerator) / x.denominator)
