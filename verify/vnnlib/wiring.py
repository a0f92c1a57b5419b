"""Inputs that are asserted to be equal are one input.

An equality X_i = X_j that holds in every branch needs no condition at all: both names stand for one entry of the input
vector, which every network that reads it then reads exactly. (Two networks with equal inputs: half as many free
variables, and a difference of the inputs that is 0, not bounded by rounding.)
"""

from __future__ import annotations

from collections.abc import Iterable

from verify.vnnlib.forms import Polynomial


def equal_pair(form: Polynomial) -> tuple[int, int] | None:
    """(i, j) where `form` = 0 says X_i = X_j, else None."""
    if len(form) != 2 or any(len(factors) != 1 or factors[0][0] != "X" for factors in form):
        return None
    ((((_, i),), a), (((_, j),), b)) = form.items()
    return (i, j) if a == -b else None


def classes(count: int, pairs: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """For each of `count` inputs the number of its class; classes are numbered in the order of their first members."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in pairs:
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    number: dict[int, int] = {}
    return tuple(number.setdefault(root(i), len(number)) for i in range(count))
