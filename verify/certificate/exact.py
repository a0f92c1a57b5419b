"""The output of a piecewise linear network at one point, in exact arithmetic, at the speed of float64 kernels.

All weights and the point are dyadic numbers. A value is held by its digits to the base 2^16,

    x = sum_k digits_k 2^(16 (k + low)),   digits_k integers in [-2^15, 2^15], stored as float64,

one array per digit. A product with a weight of the same form is a sum of products of digit arrays, each an ordinary
float64 evaluation of the operator (the digits of x are its batch). All sums stay below 2^53, so float64 computes them
without rounding in any order (float64 convolutions on the CPU sum products; they use no transforms). Carries restore
the digits; the sign of a number is that of its leading digit, which decides the ReLU. The cost is (digits of x) x
(digits of W) evaluations: 5 to 15 digits for most values, 2 to 4 for float32 weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from verify.errors import OutOfResources, UnsupportedOperator
from verify.graph import Graph, Node
from verify.ops import Add, Affine, Constant, Conv, ConvTranspose, Input, Linear, Relu, Sum
from verify.ops.reshape import Concat, Gather, Reshape, Transpose

BITS = 16
BASE = float(1 << BITS)
MOST_SUMMED = 1 << 22
"""Products of two digits (2^30 each) that one sum may hold and stay below 2^53 with room for the carries."""

RANGE = 900
"""Numbers outside of 2^-900 to 2^900 are left to interval arithmetic."""

LINEAR = (Add, Affine, Concat, Constant, Conv, ConvTranspose, Gather, Linear, Reshape, Sum, Transpose)


@dataclass(frozen=True, eq=False)
class Digits:
    """`digits` (L, *shape), integers in float64, the least one first; `low` is the position of the least one."""

    digits: Tensor
    low: int

    @classmethod
    def of(cls, values: Tensor) -> Digits:
        """Finite float64 `values` (*shape), exactly."""
        sizes = values.abs()
        sizes = sizes[sizes > 0]
        if not sizes.numel():
            return cls(torch.zeros_like(values).unsqueeze(0), 0)
        least, most = math.frexp(float(sizes.min()))[1], math.frexp(float(sizes.max()))[1]
        if least < -RANGE or most > RANGE:
            raise OutOfResources(f"numbers beyond 2^{RANGE} or below 2^-{RANGE} are not evaluated exactly")
        place, rest, found = -((BITS - 1 - most) // BITS), values, []
        while not found or bool(rest.any()):
            digit = torch.round(rest * 2.0 ** (-BITS * place))
            rest = rest - digit * 2.0 ** (BITS * place)  # both are multiples of the last bit of `rest`: exact
            found.append(digit)
            place -= 1
        return cls(torch.stack(found[::-1]), place + 1)

    def fractions(self) -> list[Fraction]:
        """The numbers, flat."""
        totals = [0] * self.digits[0].numel()
        for digit in reversed(self.digits.flatten(1).tolist()):
            totals = [(total << BITS) + int(d) for total, d in zip(totals, digit, strict=True)]
        return [total * Fraction(2) ** (BITS * self.low) for total in totals]


def exact_output(graph: Graph, x: np.ndarray, work: float) -> list[Fraction]:
    """The output of `graph` (float64, CPU) at x (i,), flat. The weights of the graph are taken as they are.

    Raises `UnsupportedOperator` for other operators than linear ones and ReLUs, and `OutOfResources` when more than
    `work` multiplications would be needed.
    """
    values: dict[str, Digits] = {}
    for node in graph.nodes:
        if isinstance(node.op, Input):
            values[node.name] = Digits.of(torch.from_numpy(x.astype(np.float64)).reshape(node.shape))
        elif isinstance(node.op, Relu):
            values[node.name] = _relu(values[node.inputs[0]])
        elif isinstance(node.op, LINEAR):
            inputs = [values[name] for name in node.inputs]
            name = _factor(node)
            weight = None if name is None else Digits.of(getattr(node.op, name))
            work -= _cost(graph, node, inputs, weight)
            if not work >= 0:
                raise OutOfResources(f"exact arithmetic would take too long (stopped at node {node.name!r})")
            values[node.name] = _linear(node, inputs, weight)
        else:
            raise UnsupportedOperator(f"{type(node.op).__name__} has no exact value")
    return values[graph.output].fractions()


def _factor(node: Node) -> str | None:
    """The field that multiplies the input."""
    return next((name for name in ("weight", "scale") if getattr(node.op, name, None) is not None), None)


def _cost(graph: Graph, node: Node, inputs: list[Digits], weight: Digits | None) -> float:
    """Multiplications of float64 numbers; refuses sums that float64 might round."""
    terms = node.op.terms(*graph.input_shapes(node)) if inputs else 1
    count = 1 if weight is None else len(weight.digits)
    if terms * count > MOST_SUMMED:
        raise OutOfResources(f"node {node.name!r} sums too many products for exact arithmetic")
    return float(terms * math.prod(node.shape) * count * max((len(value.digits) for value in inputs), default=1))


def _linear(node: Node, inputs: list[Digits], weight: Digits | None) -> Digits:
    """W x + b; `weight` holds the digits of what `_factor` names."""
    parts, offset = [], node.op.offset()
    if offset is not None:
        parts.append(Digits.of(offset.expand(1, *node.shape)[0]))
    if inputs:
        cleared = {field: value for field, value in (("bias", None), ("shift", None), ("fill", 0.0))
                   if hasattr(node.op, field)}
        op, low, aligned = replace(node.op, **cleared), *_aligned(inputs)
        if weight is None:
            parts.append(Digits(op.evaluate(*aligned), low))
        else:
            (digits,), name = aligned, _factor(node)
            found = digits.new_zeros(len(digits) + len(weight.digits) - 1, *node.shape)
            for k, digit in enumerate(weight.digits):
                found[k : k + len(digits)] += replace(op, **{name: digit}).evaluate(digits)
            parts.append(Digits(found, low + weight.low))
    low, aligned = _aligned(parts)
    return _carried(sum(aligned[1:], start=aligned[0]), low)


def _aligned(parts: list[Digits]) -> tuple[int, list[Tensor]]:
    """The lowest place, and the digits of all parts from there on, of one length: (length, *shape) each."""
    low = min(part.low for part in parts)
    length = max(part.low + len(part.digits) for part in parts) - low
    padded = []
    for part in parts:
        digits = part.digits.new_zeros(length, *part.digits.shape[1:])
        digits[part.low - low : part.low - low + len(part.digits)] = part.digits
        padded.append(digits)
    return low, padded


def _carried(sums: Tensor, low: int) -> Digits:
    """Sums per place become digits; zeros at both ends are dropped."""
    found, carry = [], torch.zeros_like(sums[0])
    for total in sums:
        total = total + carry
        carry = torch.floor((total + BASE / 2) / BASE)
        found.append(total - carry * BASE)
    while bool(carry.any()):
        total, carry = carry, torch.floor((carry + BASE / 2) / BASE)
        found.append(total - carry * BASE)
    digits = torch.stack(found)
    used = digits.flatten(1).any(1).nonzero().flatten().tolist()
    if not used:
        return Digits(digits[:1], 0)
    return Digits(digits[used[0] : used[-1] + 1], low + used[0])


def _relu(value: Digits) -> Digits:
    """The leading digit that is not zero counts at least 2^16, all below it at most 2^15 (1 + 2^-16 + ...)."""
    sign = torch.zeros_like(value.digits[0])
    for digit in value.digits.flip(0):
        sign = torch.where(sign == 0, torch.sign(digit), sign)
    return Digits(value.digits * (sign > 0), value.low)
