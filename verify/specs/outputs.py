"""What is wanted of the outputs y, on every point of a set of inputs; each is the unsafe set that it forbids.

    classified(c)        y_c is the largest output (a tie counts as unsafe)
    not_confused(c, t)   y_t stays below y_c
    within(l, u)         l_k <= y_k <= u_k for all k
    positive(A, b)       A y + b > 0 in every row

The unsafe sets are those of `verify.properties`.
"""

from __future__ import annotations

from collections.abc import Callable

from verify import properties
from verify.errors import ShapeMismatch
from verify.query import Disjunct, Spec
from verify.specs.numbers import Array

Wanted = Callable[[int], tuple[Disjunct, ...]]
"""From the number of outputs to the disjuncts that must not happen. Raises `InvalidInput` where it does not fit."""

ANYWHERE = (0.0,)


def classified(label: int) -> Wanted:
    """The class is `label`."""
    return lambda outputs: _unsafe(properties.robustness(ANYWHERE, 0.0, label, outputs))


def not_confused(label: int, target: int) -> Wanted:
    """`target` never scores up to `label`."""
    return lambda outputs: _unsafe(properties.targeted(ANYWHERE, 0.0, label, target, outputs))


def within(lower: Array, upper: Array) -> Wanted:
    """Every output stays in its limits; infinite ones mean none."""
    spec = properties.output_range(ANYWHERE, ANYWHERE, lower, upper)
    return lambda outputs: _fitting(spec, outputs)


def positive(A: Array, b: Array = 0.0) -> Wanted:
    """Every row of A y + b is positive. A: (rows, outputs)."""
    spec = properties.linear(ANYWHERE, ANYWHERE, A, b)
    return lambda outputs: _fitting(spec, outputs)


def _fitting(spec: Spec, outputs: int) -> tuple[Disjunct, ...]:
    if spec.outputs != outputs:
        raise ShapeMismatch(f"the condition is about {spec.outputs} outputs, the model has {outputs}")
    return _unsafe(spec)


def _unsafe(spec: Spec) -> tuple[Disjunct, ...]:
    return spec.cases[0].disjuncts
