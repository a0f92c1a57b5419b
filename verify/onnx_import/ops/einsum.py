"""Einsum of any number of values, two by two from the left; at least one depends on the network input.

The letters of two operands are shared and kept (batch), shared and summed, or belong to one of them; what only one of
them has and nobody needs is summed first. Then the pair is a matrix product

    (batch, own letters of a, summed) @ (batch, summed, own letters of b),

or, without summed letters, an elementwise product with broadcasting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from verify.errors import InvalidInput
from verify.onnx_import.call import Call, Known, Value, Variable
from verify.onnx_import.moves import moved, reshaped, shape_of
from verify.onnx_import.registry import importer
from verify.ops import Sum


@dataclass(frozen=True, eq=False)
class _Term:
    """A value and the letter of each of its axes, no letter twice."""

    value: Value
    letters: str

    @property
    def sizes(self) -> dict[str, int]:
        return dict(zip(self.letters, shape_of(self.value), strict=True))


@importer("Einsum", since=12, accepts="number")
def einsum(call: Call) -> Value:
    terms, output = _parsed(call)
    total, *rest = terms
    for k, other in enumerate(rest):
        needed = set(output).union(*(term.letters for term in rest[k + 1 :]))
        total = _pair(call, total, other, needed)
    total = _summed(call, total, set(output))
    return _ordered(call, total, output)


def _parsed(call: Call) -> tuple[list[_Term], str]:
    """The operands and the letters of the output; an ellipsis stands for capital letters that are not used yet."""
    equation = call.text("equation", "").replace(" ", "")
    left, arrow, output = equation.partition("->")
    names = left.split(",")
    if len(names) != len(call.inputs):
        raise InvalidInput(f"{call}: the equation {equation!r} has {len(names)} operands, not {len(call.inputs)}")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation]
    ranks = [len(shape_of(value)) - len(name.replace("...", "")) for name, value in
             zip(names, call.inputs, strict=True)]
    widest = max((rank for name, rank in zip(names, ranks, strict=True) if "..." in name), default=0)
    hidden = "".join(spare[:widest])
    letters = [name.replace("...", hidden[widest - rank :]) for name, rank in zip(names, ranks, strict=True)]
    if not arrow:
        joint = "".join(letters)
        output = hidden + "".join(c for c in sorted(set(joint)) if joint.count(c) == 1 and c not in hidden)
    terms = [_diagonal(call, value, text) for value, text in zip(call.inputs, letters, strict=True)]
    return terms, output.replace("...", hidden)


def _diagonal(call: Call, value: Value, letters: str) -> _Term:
    """Letters that occur twice in one operand take its diagonal; axes of size 1 broadcast, and lose their letter."""
    if len(letters) != len(shape_of(value)):
        raise InvalidInput(f"{call}: the letters {letters!r} do not fit shape {list(shape_of(value))}")
    once = "".join(dict.fromkeys(letters))
    if once == letters:
        return _Term(value, letters)
    return _Term(moved(call, value, lambda array: np.einsum(f"{letters}->{once}", array)), once)


def _summed(call: Call, term: _Term, needed: set[str]) -> _Term:
    """Without the letters that nobody needs."""
    axes = tuple(k for k, c in enumerate(term.letters) if c not in needed)
    if not axes:
        return term
    kept = "".join(c for c in term.letters if c in needed)
    if isinstance(term.value, Known):
        return _Term(call.constant(term.value.array.sum(axes)), kept)
    total = call.add(Sum(axes), term.value)
    return _Term(call.reshape(total, tuple(n for k, n in enumerate(total.shape) if k not in axes)), kept)


def _ordered(call: Call, term: _Term, letters: str) -> Value:
    """The value with its axes in the order of `letters`; letters that it lacks become axes of size 1."""
    order = [term.letters.index(c) for c in letters if c in term.letters]
    shape = [term.sizes.get(c, 1) for c in letters]
    return moved(call, term.value, lambda array: array.transpose(order).reshape(shape))


def _pair(call: Call, a: _Term, b: _Term, needed: set[str]) -> _Term:
    a, b = _summed(call, a, needed | set(b.letters)), _summed(call, b, needed | set(a.letters))
    shared = [c for c in a.letters if c in b.letters]
    contracted = "".join(c for c in shared if c not in needed)
    batch = "".join(c for c in shared if c in needed)
    own = tuple("".join(c for c in term.letters if c not in shared) for term in (a, b))
    sizes = {c: max(a.sizes.get(c, 1), b.sizes.get(c, 1)) for c in a.letters + b.letters}
    if any(term.sizes[c] != sizes[c] for term in (a, b) for c in contracted):
        raise InvalidInput(f"{call}: the sizes of {contracted!r} differ")
    letters = batch + own[0] + own[1]
    if not contracted:
        return _Term(_product(call, "Mul", _ordered(call, a, letters), _ordered(call, b, letters)), letters)
    lead = [sizes[c] for c in batch]
    rows, inner, columns = (math.prod(sizes[c] for c in part) for part in (own[0], contracted, own[1]))
    left = _ordered(call, a, batch + own[0] + contracted)
    right = _ordered(call, b, batch + contracted + own[1])
    left = reshaped(call, left, (*shape_of(left)[: len(batch)], rows, inner))
    right = reshaped(call, right, (*shape_of(right)[: len(batch)], inner, columns))
    found = _product(call, "MatMul", left, right)
    return _Term(reshaped(call, found, (*lead, *(sizes[c] for c in own[0] + own[1]))), letters)


def _product(call: Call, operator: str, a: Value, b: Value) -> Value:
    if isinstance(a, Variable) or isinstance(b, Variable):
        return call.apply(operator, a, b)
    return call.constant((np.multiply if operator == "Mul" else np.matmul)(a.array, b.array))
