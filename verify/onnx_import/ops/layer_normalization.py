"""Normalisations by statistics of the input itself, over some axes:

    y = scale (x - mean) / sqrt(variance + epsilon) + bias,    variance = mean of (x - mean)^2

LayerNormalization (Ba et al. 2016), InstanceNormalization (Ulyanov et al. 2016), GroupNormalization (Wu and He 2018),
MeanVarianceNormalization and, without the mean, RMSNormalization (Zhang and Sennrich 2019). The mean is linear, the
variance a sum of squares, whose interval is not negative, root and quotient together one curve, v^(-1/2).

The factors of the product depend on each other: n values of mean 0 and mean square 1 are at most sqrt(n - 1), since
x_i^2 = (sum_(j != i) x_j)^2 <= (n - 1) sum_(j != i) x_j^2 (Cauchy), and without the mean at most sqrt(n). Where the
intervals of the factors do not show it, the product is cut there: a box that does not exclude a constant input would be
multiplied by epsilon^(-1/2) in every layer.
"""

from __future__ import annotations

import math

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Known, Value, Variable
from verify.onnx_import.lowering import affine, plus, times, within
from verify.onnx_import.registry import importer
from verify.ops import Power, Reciprocal, Sqrt, Sum

# What MeanVarianceNormalization adds to the deviation, by its definition.
TINY_DEVIATION = 1e-9
OUTWARD = 1 + 1e-9
"""Limits are widened by this, so that what an evaluation in float64 rounds is not cut."""


def _average(call: Call, x: Variable, axes: tuple[int, ...], shift: float | None = None) -> Variable:
    """The mean over the axes, which stay with size 1, plus a constant."""
    return affine(call, call.add(Sum(axes), x), scale=1 / _count(x, axes), shift=shift)


def _standardised(call: Call, x: Variable, axes: tuple[int, ...]) -> tuple[Variable, Variable, Variable]:
    """((x - mean) / deviation, mean, 1 / deviation)."""
    mean = _average(call, x, axes)
    centred = plus(call, x, mean, sign=-1)
    variance = _average(call, times(call, centred, centred), axes, call.attribute("epsilon", 1e-5))
    inverse = call.add(Power(-0.5), variance)
    return _bounded(call, times(call, centred, inverse), _count(x, axes) - 1), mean, inverse


def _bounded(call: Call, y: Variable, square: int) -> Variable:
    """y, of which the squares are at most `square`."""
    limit = math.sqrt(square) * OUTWARD
    return within(call, y, -limit, limit)


def _count(x: Variable, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[k] for k in axes)


def _scaled(call: Call, y: Variable, shape: tuple[int, ...]) -> Variable:
    """Input 1 times y plus input 2, where there is one, both reshaped."""
    y = times(call, y, _as(call, call.value(1), shape))
    return plus(call, y, _as(call, call.value(2), shape)) if call.has(2) else y


def _as(call: Call, value: Value, shape: tuple[int, ...]) -> Value:
    if isinstance(value, Variable):
        return call.reshape(value, shape)
    return Known(value.name, value.array.reshape(shape))


def _trailing(call: Call, x: Variable) -> tuple[int, ...]:
    """The axes from `axis` on."""
    return tuple(range(call.axis(call.attribute("axis", -1), x.rank), x.rank))


@importer("LayerNormalization")
def layer_normalization(call: Call) -> tuple[Variable, ...]:
    x = call.variable(0)
    y, mean, inverse = _standardised(call, x, _trailing(call, x))
    y = times(call, y, call.value(1))
    y = plus(call, y, call.value(2)) if call.has(2) else y
    return (y, mean, inverse)[: len(call.outputs)]


@importer("RMSNormalization")
def rms_normalization(call: Call) -> Variable:
    x = call.variable(0)
    axes = _trailing(call, x)
    square = _average(call, times(call, x, x), axes, call.attribute("epsilon", 1e-5))
    y = times(call, x, call.add(Power(-0.5), square))
    return times(call, _bounded(call, y, _count(x, axes)), call.value(1))


@importer("InstanceNormalization")
def instance_normalization(call: Call) -> Variable:
    """Statistics of each channel; scale and bias (channels)."""
    x = call.variable(0)
    y, _, _ = _standardised(call, x, tuple(range(2, x.rank)))
    return _scaled(call, y, (-1, *(1 for _ in x.shape[2:])))


def _by_groups(call: Call) -> tuple[Variable, int]:
    """The standardised input as (batch, groups, rest), and the number of groups."""
    x, groups = call.variable(0), call.attribute("num_groups")
    if x.rank < 2 or x.shape[1] % groups:
        raise ShapeMismatch(f"{groups} groups do not divide the channels of shape {list(x.shape)}")
    y, _, _ = _standardised(call, call.reshape(x, (x.shape[0], groups, math.prod(x.shape[1:]) // groups)), (2,))
    return y, groups


@importer("GroupNormalization", since=18)
def group_normalization_18(call: Call) -> Variable:
    """Scale and bias (groups)."""
    y, groups = _by_groups(call)
    return call.reshape(_scaled(call, y, (groups, 1)), call.variable(0).shape)


@importer("GroupNormalization", since=21)
def group_normalization(call: Call) -> Variable:
    """Scale and bias (channels)."""
    y, _ = _by_groups(call)
    shape = call.variable(0).shape
    return _scaled(call, call.reshape(y, shape), (-1, *(1 for _ in shape[2:])))


@importer("MeanVarianceNormalization")
def mean_variance_normalization(call: Call) -> Variable:
    """(x - mean) / (deviation + 1e-9)."""
    x = call.variable(0)
    axes = tuple(sorted(call.axis(axis, x.rank) for axis in call.attribute("axes", [0, 2, 3])))
    centred = plus(call, x, _average(call, x, axes), sign=-1)
    deviation = call.add(Sqrt(), _average(call, times(call, centred, centred), axes))
    y = times(call, centred, call.add(Reciprocal(), affine(call, deviation, shift=TINY_DEVIATION)))
    return _bounded(call, y, _count(x, axes) - 1)
