"""Tiny pairs of ONNX models whose largest difference is known exactly."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np

from tests.soundness.nets import dense
from verify.onnx_import import Network, from_bytes
from verify.query import InputBox


def layers(seed: int, hidden: int = 4, inputs: int = 1, outputs: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases of eighths, which float32 sums without rounding."""
    draw = np.random.default_rng(seed)
    sizes = (inputs, hidden, outputs)
    return [(draw.integers(-16, 17, (o, i)) / 8, draw.integers(-8, 9, o) / 8) for i, o in pairwise(sizes)]


def moved(whole: list, seed: int, size: float = 0.125) -> list[tuple[np.ndarray, np.ndarray]]:
    """Some weights changed by `size`."""
    draw = np.random.default_rng(seed + 99)
    return [(w + size * draw.integers(-1, 2, w.shape), b + size * draw.integers(-1, 2, b.shape)) for w, b in whole]


def network(whole: list, activation: str = "Relu") -> Network:
    return from_bytes(dense(whole, activation))


def toy_pair(seed: int, inputs: int = 1) -> tuple[Network, Network]:
    first = layers(seed, inputs=inputs)
    return network(first), network(moved(first, seed))


def unit_box(inputs: int = 1) -> InputBox:
    return InputBox.from_floats(-np.ones(inputs), np.ones(inputs))


def value(whole: list, x: Fraction) -> list[Fraction]:
    """A network of one input in exact arithmetic."""
    v = [x]
    for k, (weight, bias) in enumerate(whole):
        v = [sum((Fraction(float(w)) * u for w, u in zip(row, v, strict=True)), Fraction(float(b)))
             for row, b in zip(weight, bias, strict=True)]
        v = [max(u, Fraction(0)) for u in v] if k < len(whole) - 1 else v
    return v


def exact_largest(first: list, second: list) -> Fraction:
    """max |y_j - y'_j| over [-1, 1]: piecewise linear in x, so at an end or where a hidden neuron is 0."""
    kinks = [-Fraction(float(b)) / Fraction(float(w[0])) for whole in (first, second)
             for w, b in zip(*whole[0], strict=True) if w[0]]
    points = [Fraction(-1), Fraction(1), *(x for x in kinks if -1 <= x <= 1)]
    return max(abs(a - b) for x in points for a, b in zip(value(first, x), value(second, x), strict=True))
