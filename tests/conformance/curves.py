"""Unary primitives with what they should compute, in numpy's extended precision (64 bits of mantissa), and where.

`value` and `slope` are f and f' written without regard to speed. `into` maps all numbers, in order, to where f is
defined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch

from verify import ops
from verify.ops import Curve

Array = np.ndarray
WIDE = np.longdouble
PI = WIDE(2) * np.arcsin(WIDE(1))


def wide(t: torch.Tensor) -> Array:
    return t.double().numpy().astype(WIDE)


def everywhere(x: torch.Tensor) -> torch.Tensor:
    return x


def positive(x: torch.Tensor) -> torch.Tensor:
    """Small numbers included, 0 not."""
    return torch.where(x > 0, 1 + x, 1 / (1 - x.clamp(-1e18, 0)) ** 2)


def from_zero(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(min=0) + 0.0  # no -0


def from_one(x: torch.Tensor) -> torch.Tensor:
    return 1 + x.clamp(min=0)


def within_one(x: torch.Tensor) -> torch.Tensor:
    """The ends included."""
    return (x / 2).clamp(-1, 1)


def inside_one(x: torch.Tensor) -> torch.Tensor:
    return x / (1 + x.abs()) * (1 - 1e-6)


def within_a_branch(x: torch.Tensor) -> torch.Tensor:
    """Between two poles of tan."""
    return x / (1.001 + x.abs()) * 1.57


@dataclass(frozen=True)
class Case:
    op: Curve
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    into: Callable[[torch.Tensor], torch.Tensor] = everywhere


def _series(x: Array) -> Array:
    """erf(x) for 0 <= x < 2.2, all terms positive (DLMF 7.6.2)."""
    term = total = x
    for n in range(1, 50):
        term = term * 2 * x**2 / (2 * n + 1)
        total = total + term
    return 2 / np.sqrt(PI) * np.exp(-x**2) * total


def _fraction(x: Array) -> Array:
    """erfc(x) for x >= 2.2 (DLMF 7.9.1)."""
    below = x
    for n in range(60, 0, -1):
        below = x + WIDE(n) / 2 / below
    return np.exp(-x**2) / np.sqrt(PI) / below


def erfc(x: Array) -> Array:
    a, tail = np.abs(x), np.zeros_like(x)
    near, far = a < 2.2, (a >= 2.2) & (a < 110)
    tail[near], tail[far] = 1 - _series(a[near]), _fraction(a[far])
    return np.where(x < 0, 2 - tail, tail)


def erf(x: Array) -> Array:
    a = np.abs(x)
    size, near, far = np.ones_like(x), a < 2.2, (a >= 2.2) & (a < 110)
    size[near], size[far] = _series(a[near]), 1 - _fraction(a[far])
    return np.copysign(size, x)


def normal(x: Array) -> Array:
    return np.exp(-x**2 / 2) / np.sqrt(2 * PI)


def logistic(x: Array) -> Array:
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, decay) / (1 + decay)


def bell(x: Array) -> Array:
    """The derivative of `logistic`."""
    return logistic(x) * logistic(-x)


def softplus(beta: float) -> Case:
    b = WIDE(beta)
    return Case(ops.Softplus(beta), lambda x: np.maximum(x, 0) + np.log1p(np.exp(-b * np.abs(x))) / b,
                lambda x: logistic(b * x))


def elu(alpha: float, gamma: float = 1.0, beta: float = 1.0) -> Case:
    a, g, b = WIDE(alpha), WIDE(gamma), WIDE(beta)
    return Case(ops.Elu(alpha, gamma, beta), lambda x: g * np.where(x > 0, x, a * np.expm1(b * np.minimum(x, 0))),
                lambda x: g * np.where(x > 0, 1, a * b * np.exp(b * np.minimum(x, 0))))


def silu(beta: float) -> Case:
    b = WIDE(beta)
    return Case(ops.Silu(beta), lambda x: x * logistic(b * x), lambda x: logistic(b * x) + b * x * bell(b * x))


def power(p: float, into: Callable = everywhere) -> Case:
    e = WIDE(p)
    return Case(ops.Power(p), lambda x: np.power(x, e), lambda x: e * np.power(x, e - 1), into)


def inner(x: Array) -> Array:
    """The argument of the logistic function in the tanh form of GELU."""
    return np.sqrt(8 / PI) * (x + WIDE(0.044715) * x**3)


def gelu_tanh_slope(x: Array) -> Array:
    return logistic(inner(x)) + x * bell(inner(x)) * np.sqrt(8 / PI) * (1 + 3 * WIDE(0.044715) * x**2)


def mish_slope(x: Array) -> Array:
    s = np.log1p(np.exp(np.minimum(x, 100)))
    return np.tanh(s) + x / np.cosh(s)**2 * logistic(x)


def parabola(x: Array) -> Array:
    return np.where(np.abs(x) <= 3, (2 * x + 3) / 6, x > 0)


def zero(x: Array) -> Array:
    return np.zeros_like(x)


CURVES = MappingProxyType({
    "exp": Case(ops.Exp(), np.exp, np.exp),
    "log": Case(ops.Log(), np.log, lambda x: 1 / x, positive),
    "sqrt": Case(ops.Sqrt(), np.sqrt, lambda x: 1 / (2 * np.sqrt(x)), from_zero),
    "reciprocal": Case(ops.Reciprocal(), lambda x: 1 / x, lambda x: -1 / x**2, positive),
    "reciprocal-negative": Case(ops.Reciprocal(), lambda x: 1 / x, lambda x: -1 / x**2, lambda x: -positive(-x)),
    "power-0": power(0),
    "power-1": power(1),
    "power-2": power(2.0),
    "power-3": power(3.0),
    "power-4": power(4),
    "power-5": power(5),
    "power-16": power(16),
    "power-minus-1": power(-1, positive),
    "power-minus-2": power(-2, lambda x: -positive(-x)),
    "power-minus-2-right": power(-2, positive),
    "power-minus-3": power(-3, lambda x: -positive(-x)),
    "power-minus-3-right": power(-3, positive),
    "power-0.3": power(0.3, from_zero),
    "power-0.5": power(0.5, from_zero),
    "power-1.7": power(1.7, from_zero),
    "power-minus-0.5": power(-0.5, positive),
    "power-minus-2.2": power(-2.2, positive),
    "sin": Case(ops.Sin(), np.sin, np.cos),
    "cos": Case(ops.Cos(), np.cos, lambda x: -np.sin(x)),
    "tan": Case(ops.Tan(), np.tan, lambda x: 1 + np.tan(x)**2, within_a_branch),
    "tan-far": Case(ops.Tan(), np.tan, lambda x: 1 + np.tan(x)**2, lambda x: within_a_branch(x) + 29 * torch.pi),
    "asin": Case(ops.Asin(), np.arcsin, lambda x: 1 / np.sqrt((1 - x) * (1 + x)), within_one),
    "acos": Case(ops.Acos(), np.arccos, lambda x: -1 / np.sqrt((1 - x) * (1 + x)), within_one),
    "atan": Case(ops.Atan(), np.arctan, lambda x: 1 / (1 + x**2)),
    "sinh": Case(ops.Sinh(), np.sinh, np.cosh),
    "cosh": Case(ops.Cosh(), np.cosh, np.sinh),
    "asinh": Case(ops.Asinh(), np.arcsinh, lambda x: 1 / np.sqrt(1 + x**2)),
    "acosh": Case(ops.Acosh(), np.arccosh, lambda x: 1 / np.sqrt((x - 1) * (x + 1)), from_one),
    "atanh": Case(ops.Atanh(), np.arctanh, lambda x: 1 / ((1 - x) * (1 + x)), inside_one),
    "erf": Case(ops.Erf(), erf, lambda x: 2 / np.sqrt(PI) * np.exp(-x**2)),
    "sigmoid": Case(ops.Sigmoid(), logistic, bell),
    "tanh": Case(ops.Tanh(), np.tanh, lambda x: 4 * bell(2 * x)),
    "softplus": softplus(1.0),
    "softplus-2.5": softplus(2.5),
    "gelu": Case(ops.Gelu(), lambda x: x * erfc(-x / np.sqrt(WIDE(2))) / 2,
                 lambda x: erfc(-x / np.sqrt(WIDE(2))) / 2 + x * normal(x)),
    "gelu-tanh": Case(ops.GeluTanh(), lambda x: x * logistic(inner(x)), gelu_tanh_slope),
    "silu": silu(1.0),
    "silu-1.702": silu(1.702),
    "mish": Case(ops.Mish(), lambda x: x * np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))), mish_slope),
    "hard-swish": Case(ops.HardSwish(), lambda x: x * np.clip(x + 3, 0, 6) / 6, parabola),
    "elu": elu(1.0),
    "elu-0.3": elu(0.3),
    "elu-2": elu(2.0),
    "elu-minus-0.5": elu(-0.5),
    "elu-0": elu(0.0),
    "selu": elu(1.67326319217681884765625, 1.05070102214813232421875),
    "celu-2": elu(2.0, 1.0, 0.5),
    "floor": Case(ops.Floor(), np.floor, zero),
    "ceil": Case(ops.Ceil(), np.ceil, zero),
    "round": Case(ops.Round(), np.rint, zero),
    "sign": Case(ops.Sign(), np.sign, zero),
    "positive": Case(ops.Positive(), lambda x: (x > 0).astype(WIDE), zero),
    "not-negative": Case(ops.Positive(or_zero=True), lambda x: (x >= 0).astype(WIDE), zero),
})
