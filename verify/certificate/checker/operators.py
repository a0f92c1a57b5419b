"""ONNX operators -> steps. The recipes, and so the nonlinear layers that proofs refer to (order, shape, entries):

    max(a, b) = a + relu(b - a)     min(a, b) = a - relu(a - b)     |x| = relu(x) + relu(-x)
    max or min with a constant array c: c + relu(x - c), c - relu(c - x); with a single number: clip
    clip(x, l, u) = l + relu(x - l) - relu(x - u); without u: l + relu(x - l); without l: u - relu(u - x)
    leaky(x) = k x + (1 - k) relu(x)
    a maximum over windows: a balanced tree, max(first half, second half), an odd last entry joining the next level;
    window entries outside the image read, along that axis, the first position inside.

All parts of these are exact in float32 except k x. Constants that float64 cannot hold carry an error of 2^-50 relative.

Refused, though ONNX has them: alpha and beta of Gemm other than 1, a constant A of Gemm, vectors and stacks of matrices
in MatMul, auto_pad, ceil_mode where it matters, negative pads and axes of Pad, modes of Pad other than constant, uneven
Splits without sizes, arithmetic on constants that would round.
"""

from __future__ import annotations

import math
import operator
from collections import namedtuple
from collections.abc import Sequence
from fractions import Fraction
from functools import partial, reduce
from types import MappingProxyType

import numpy as np

from verify.certificate.checker.call import Call, Value, Var
from verify.certificate.checker.onnx_reader import TYPES
from verify.certificate.checker.ops import Conv, Dense, Relu, Smooth, Sum

# Along each spatial axis window o reads positions o * stride + k * dilation - begin for k below kernel.
Frame = namedtuple("Frame", "kernel stride dilation begin end output")
LARGEST = 2**30
"""No size that describes windows is larger: products of two do not overflow."""


def _error(magnitude: np.ndarray) -> np.ndarray:
    """A power of two of at least 2^-50 |magnitude|, which covers four roundings and underflow; 0 where it is 0."""
    large = np.maximum(np.abs(magnitude), 2.0**-900)
    return np.where(np.asarray(magnitude) == 0, 0.0, np.ldexp(1.0, np.frexp(large)[1] - 50))


def _divided(call: Call, x: Var, divisor: np.ndarray, roundings: int) -> Var:
    """x / divisor; the reciprocal is exact for powers of two."""
    inverse, exact = 1 / np.asarray(divisor, np.float64), np.abs(np.frexp(divisor)[0]) == 0.5
    return call.scale(x, inverse, error=np.where(exact, 0.0, _error(inverse)), roundings=roundings)


def _relu(call: Call, x: Var) -> Var:
    return call.add(Relu(), x.shape, x)


def _exact(call: Call, x: Var, scale: object = 1.0, shift: object = 0.0) -> Var:
    """scale x + shift, an inner part of an operator that rounds nothing."""
    return call.scale(x, scale, shift, roundings=None)


def _sum(call: Call, a: Var, b: Var, sign: int = 1, roundings: int | None = None) -> Var:
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = (call.move(v, lambda index: np.broadcast_to(index, shape)) for v in (a, b))
    return call.add(Sum((1, sign), roundings), shape, a, b)


def _dense(call: Call, x: Var, weight: np.ndarray, bias: np.ndarray | None = None) -> Var:
    """weight (o, i) on the last axis of x."""
    call.require(weight.ndim == 2 and x.shape[-1:] == weight.shape[1:],
                 f"the factors do not fit: {list(x.shape)} and a constant of shape {list(weight.shape)}")
    return call.add(Dense(np.ascontiguousarray(weight), bias), (*x.shape[:-1], len(weight)), x)


def _transposed(call: Call, x: Var) -> Var:
    return call.move(x, lambda index: np.swapaxes(index, -1, -2))


def _total(call: Call, x: Var, index: np.ndarray) -> Var:
    """Sums over the last axis of `index`, flat positions in x or -1 for none."""
    y = _dense(call, call.take(index, x), np.ones((1, index.shape[-1])))
    return call.move(y, lambda flat: flat[..., 0])


def arithmetic(call: Call) -> Value:
    """Add, Sub, Mul and Div."""
    a, b, kind = call.value(0), call.value(1), call.node.op_type
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return call.fold(a, b)
    sign, left = -1 if kind == "Sub" else 1, isinstance(a, Var)
    if kind == "Div":
        return _divided(call, call.var(0), call.weight(1), 1)
    if kind == "Mul":
        return call.scale(a, call.weight(1)) if left else call.scale(b, call.weight(0))
    if left and isinstance(b, Var):
        return _sum(call, a, b, sign, roundings=1)
    return call.scale(a, shift=sign * call.weight(1)) if left else call.scale(b, sign, call.weight(0))


def gemm(call: Call) -> Var:
    x, weight, c = call.var(0), call.weight(1), None if call.value(2) is None else call.weight(2)
    call.require(len(x.shape) == 2 and call.attribute("alpha", 1.0) == call.attribute("beta", 1.0) == 1,
                 f"an input of shape {list(x.shape)}, or an alpha or beta that is not 1")
    x = _transposed(call, x) if call.attribute("transA", 0) else x
    weight = weight if call.attribute("transB", 0) else weight.T
    inside = c is not None and c.shape in ((len(weight),), (1, len(weight)))
    y = _dense(call, x, weight, c.reshape(-1) if inside else None)
    return y if c is None or inside else call.scale(y, shift=c)


def matmul(call: Call) -> Var:
    if isinstance(call.value(1), np.ndarray):
        return _dense(call, call.var(0), call.weight(1).T)
    # y = a x is y' = x' a'.
    return _transposed(call, _dense(call, _transposed(call, call.var(1)), call.weight(0)))


def frame(call: Call, size: Sequence[int], kernel: Sequence[int] = ()) -> Frame:
    """The windows that a node's attributes describe, on an image of `size`."""
    n, ones, auto = np.array(size), [1] * len(size), call.attribute("auto_pad", "NOTSET")
    k, s, d, pads = (np.array([operator.index(value) for value in call.attribute(name, default)]) for name, default in (
        ("kernel_shape", list(kernel)), ("strides", ones), ("dilations", ones), ("pads", [0, 0] * len(size))))
    call.require(all(part.shape == n.shape and part.min() >= 1 and part.max() <= LARGEST for part in (n, k, s, d)),
                 f"windows of {k.tolist()}, strides {s.tolist()}, dilations {d.tolist()} on {n.tolist()}")
    reach = (k - 1) * d + 1
    call.require(auto == "NOTSET" and pads.size == 2 * n.size and 0 <= pads.min() <= pads.max() <= LARGEST,
                 f"auto_pad {auto} or pads {pads.tolist()}")
    begin, end = pads.reshape(2, -1)
    room = n + begin + end - reach
    call.require(room.min() >= 0, f"windows of {reach.tolist()} do not fit an image of {n.tolist()}")
    call.require(not call.attribute("ceil_mode", 0) or not (room % s).any(), "ceil_mode where it matters")
    return Frame(*(part.tolist() for part in (k, s, d, begin, end, room // s + 1)))


def windows(call: Call, x: Var, f: Frame, *, zeros: bool) -> np.ndarray:
    """What the windows read, (k, b, c, *output) flat positions in x. Entries outside of the image read -1 where they
    are `zeros`, otherwise along each axis on its own the first entry of the window inside."""
    rank = len(f.kernel)
    index = np.pad(x.index, [(0, 0), (0, 0), *[(0, 1)] * rank], constant_values=-1)
    for axis, n in enumerate(x.shape[2:]):
        start = np.arange(f.output[axis]) * f.stride[axis] - f.begin[axis]
        read = start + np.arange(f.kernel[axis])[:, None] * f.dilation[axis]
        inside, first = (read >= 0) & (read < n), np.where(start < 0, start % f.dilation[axis], start)
        call.require(inside.any(axis=0).all(), "a window lies entirely in the padding")
        index = np.take(index, np.where(inside, read, n if zeros else first), 2 + 2 * axis)
    order = [*range(2, 2 + 2 * rank, 2), 0, 1, *range(3, 3 + 2 * rank, 2)]
    return index.transpose(order).reshape(-1, *x.shape[:2], *f.output)


def conv(call: Call) -> Var:
    x, weight, groups = call.var(0), call.weight(1), call.attribute("group", 1)
    bias = None if call.value(2) is None else call.weight(2)
    call.require(weight.ndim == len(x.shape) in (3, 4) and x.shape[1] == weight.shape[1] * groups and (
        len(weight) % groups == 0) and (bias is None or bias.shape == weight.shape[:1]),
        f"weights {list(weight.shape)} in {groups} groups do not fit an input {list(x.shape)}")
    f = frame(call, x.shape[2:], weight.shape[2:])
    call.require(tuple(f.kernel) == weight.shape[2:], "kernel_shape is not that of the weights")
    # One dimension is two, the second of size 1.
    one, zero = ((1,), (0,)) if weight.ndim == 3 else ((), ())
    x = call.move(x, lambda index: index.reshape(*index.shape, *one))
    op = Conv(weight.reshape(*weight.shape, *one), bias, (*f.stride, *one), (*f.begin, *zero, *f.end, *zero),
              (*f.dilation, *one), groups)
    y = call.add(op, (x.shape[0], len(weight), *f.output, *one), x)
    return call.move(y, lambda index: index.reshape(x.shape[0], len(weight), *f.output))


def _largest(call: Call, x: Var, index: np.ndarray) -> Var:
    """The maximum over the first axis of `index`, flat positions in x."""
    if len(index) == 1:
        return call.take(index[0], x)
    half = len(index) // 2
    best = _larger(call, call.take(index[:half], x), call.take(index[half : 2 * half], x))
    if len(index) % 2:
        joined = np.concatenate([best.index.ravel(), index[-1].ravel() + best.index.size])
        best = call.take(joined.reshape(half + 1, *index.shape[1:]), best, x)
    return _largest(call, best, best.index)


def max_pool(call: Call) -> Var:
    x = call.var(0)
    call.attribute("storage_order")  # of the indices, which have no value here
    return _largest(call, x, windows(call, x, frame(call, x.shape[2:]), zeros=False))


def average_pool(call: Call) -> Var:
    x = call.var(0)
    index = windows(call, x, frame(call, x.shape[2:]), zeros=True)
    count = np.full(index.shape[1:], len(index)) if call.attribute("count_include_pad", 0) else (index >= 0).sum(axis=0)
    return _divided(call, _total(call, x, np.moveaxis(index, 0, -1)), count, 2)


def reduction(call: Call) -> Var:
    """ReduceSum, ReduceMean and GlobalAveragePool."""
    x, kind = call.var(0), call.node.op_type
    whole, image = range(len(x.shape)), kind == "GlobalAveragePool"
    axes = whole[2:] if image else call.numbers("axes", 1, 13 if kind == "ReduceSum" else 18)
    keep, idle = call.attribute("keepdims", 1), call.attribute("noop_with_empty_axes", 0)
    call.require(axes or not (idle or image), f"nothing to reduce of a value of shape {list(x.shape)}")
    axes = sorted({whole[a] for a in axes or whole})
    rest = [k for k in whole if k not in axes]
    shape = [1 if k in axes else n for k, n in enumerate(x.shape) if keep or k in rest]
    y = _total(call, x, x.index.transpose(*rest, *axes).reshape(*shape, -1))
    return y if kind == "ReduceSum" else _divided(call, y, np.float64(math.prod(x.shape[k] for k in axes)), 2)


def batch_normalization(call: Call) -> Var:
    """(x - mean) s + bias with s = scale / sqrt(var + epsilon): two steps, as the shift bias - mean s may cancel."""
    x, parts = call.var(0), [call.weight(k) for k in range(1, 5)]
    call.attribute("momentum")
    call.require(not call.attribute("training_mode", 0) and all(part.shape == x.shape[1:2] for part in parts),
                 "only inference with one set of numbers per channel is supported")
    gain, bias, mean, variance = (part.reshape(-1, *(1 for _ in x.shape[2:])) for part in parts)
    variance = variance + call.attribute("epsilon", float(np.float32(1e-5)))
    call.require((variance > 0).all(), "variances that are not positive")
    factor = gain / np.sqrt(variance)
    # Sum, root and quotient: 2.5 roundings.
    error = np.where(gain == 0, 0.0, _error(np.maximum(np.abs(factor), 2.0**-900)))
    return call.scale(call.scale(x, shift=-mean, roundings=6), factor, bias, error=error, roundings=6)


def leaky_relu(call: Call) -> Var:
    x, slope = call.var(0), call.attribute("alpha", float(np.float32(0.01)))
    error = 0.0 if Fraction(1 - slope) == 1 - Fraction(slope) else _error(np.float64(1 - slope))
    positive = call.scale(_relu(call, x), 1 - slope, error=error, roundings=None)
    return _sum(call, call.scale(x, slope), positive)


def _clip(call: Call, x: Var, low: float, high: float) -> Var:
    call.require(low <= high and not any(1e38 <= abs(limit) < math.inf for limit in (low, high)),
                 f"limits {low} and {high}; finite ones below 1e38, in order, would be accepted")
    if low == -math.inf:
        return x if high == math.inf else _exact(call, _relu(call, _exact(call, x, -1.0, high)), -1.0, high)
    above = _relu(call, _exact(call, x, shift=-low))
    if high < math.inf:
        above = _sum(call, above, _relu(call, _exact(call, x, shift=-high)), -1)
    return _exact(call, above, shift=low)


def clip(call: Call) -> Var:
    if call.opset < 11:
        return _clip(call, call.var(0), call.attribute("min", -math.inf), call.attribute("max", math.inf))
    return _clip(call, call.var(0), call.number(1, -math.inf), call.number(2, math.inf))


def _larger(call: Call, a: Value, b: Value, sign: int = 1) -> Var:
    """max(a, b), or min(a, b) for sign -1."""
    a, b = (a, b) if isinstance(a, Var) else (b, a)
    call.require(isinstance(a, Var), "the extreme of two constants")
    if isinstance(b, Var):
        return _sum(call, a, _relu(call, _sum(call, b, a, -1) if sign > 0 else _sum(call, a, b, -1)), sign)
    if b.size == 1 and b.ndim <= len(a.shape):
        limits = (float(b.reshape(())), math.inf)
        return _clip(call, a, *limits) if sign > 0 else _clip(call, a, -limits[1], limits[0])
    return _exact(call, _relu(call, _exact(call, a, sign, -sign * b.astype(np.float64))), sign, b)


def extreme(call: Call) -> Var:
    """Max and Min of any number of values, from the left."""
    sign = -1 if call.node.op_type == "Min" else 1
    return reduce(lambda a, b: _larger(call, a, b, sign), map(call.value, range(len(call.inputs))))


def absolute(call: Call) -> Var:
    return _sum(call, _relu(call, call.var(0)), _relu(call, _exact(call, call.var(0), -1.0)))


def _reshape(call: Call, index: np.ndarray) -> np.ndarray:
    sizes = call.numbers("", 1, 0)
    if not call.attribute("allowzero", 0):
        sizes = [index.shape[k] if size == 0 else size for k, size in enumerate(sizes)]
    call.require(min(sizes, default=0) >= -1, f"sizes {sizes}")
    return index.reshape(sizes)


def _slice(call: Call, index: np.ndarray) -> np.ndarray:
    starts, ends, axes = (call.numbers(name, k, 10) for k, name in enumerate(("starts", "ends", "axes"), 1))
    steps = call.numbers("", 4, 10) or [1] * len(starts)
    cut = [slice(None)] * index.ndim
    for start, end, axis, step in zip(starts, ends, axes or range(len(starts)), steps, strict=True):
        # Python would read an end before the first entry, -1 when clamped, as the last one.
        cut[axis] = slice(start, None if step < 0 and end < -index.shape[axis] else end, step)
    return index[tuple(cut)]


# Operators that move entries: how they move those of an array, whether it holds constants or positions.
MOVES = MappingProxyType({
    "Expand": lambda call, index: np.broadcast_to(index, np.broadcast_shapes(index.shape, tuple(call.known(1)))),
    "Flatten": lambda call, index: index.reshape(math.prod(index.shape[: call.attribute("axis", 1)]), -1),
    "Gather": lambda call, index: np.take(index, call.known(1), call.attribute("axis", 0)),
    "Identity": lambda call, index: index,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": lambda call, index: np.squeeze(index, tuple(call.numbers("axes", 1, 13) or ()) or None),
    "Transpose": lambda call, index: np.transpose(index, call.attribute("perm")),
    "Unsqueeze": lambda call, index: np.expand_dims(index, tuple(call.numbers("axes", 1, 13))),
})


def move(call: Call) -> Value:
    return call.move(call.value(0), partial(MOVES[call.node.op_type], call))


def split(call: Call) -> tuple[Value, ...]:
    x, axis, count = call.value(0), call.attribute("axis", 0), len(call.node.outputs)
    sizes = call.numbers("split", 1, 13) or [x.shape[axis] // count] * count
    call.require(len(sizes) == call.attribute("num_outputs", count) == count and sum(sizes) == x.shape[axis] and (
        min(sizes) > 0), f"sizes {sizes} for {count} parts of an axis of size {x.shape[axis]}")
    ends = np.cumsum(sizes)[:-1]
    return tuple(call.move(x, lambda index, k=k: np.split(index, ends, axis)[k]) for k in range(count))


def concat(call: Call) -> Value:
    values, axis = [call.value(k) for k in range(len(call.inputs))], operator.index(call.attribute("axis"))
    if not any(isinstance(value, Var) for value in values):
        return np.concatenate(values, axis)
    parts = [call.var(k) for k, value in enumerate(values) if isinstance(value, Var) or value.size]
    starts = np.cumsum([0, *(part.index.size for part in parts)])
    return call.take(np.concatenate([p.index + s for p, s in zip(parts, starts, strict=False)], axis), *parts)


def pad(call: Call) -> Var:
    x, pads = call.var(0), np.array(call.numbers("pads", 1, 11))
    fill = call.attribute("value", 0.0) if call.opset < 11 else call.number(2, 0.0)
    call.require(call.attribute("mode", "constant") == "constant" and pads.size == 2 * len(x.shape) and pads.min() >= 0,
                 f"pads {pads.tolist()}, or another mode than constant")
    index = np.pad(x.index, pads.reshape(2, -1).T, constant_values=-1)
    return call.take(index, x, fill=None if fill == 0 else np.array([fill], dtype=np.float64))


def cast(call: Call) -> Value:
    x, to = call.value(0), np.dtype(TYPES[call.attribute("to")][0])
    call.attribute("saturate")
    call.require(to == call.dtype if isinstance(x, Var) else np.array_equal(x.astype(to), x),
                 f"a cast to {to.name} that changes values or the network's type {call.dtype}")
    return x if isinstance(x, Var) else x.astype(to)


def dropout(call: Call) -> Value:
    call.attribute("ratio"), call.attribute("seed"), call.value(1)
    call.require(not call.number(2, 0), "training mode; inference would be accepted")
    return call.value(0)


def constant(call: Call) -> np.ndarray:
    (name, value), = call.node.attributes.items()
    call.attribute(name)
    kinds = {"value": None, "value_float": "<f4", "value_floats": "<f4", "value_int": "<i8", "value_ints": "<i8"}
    return np.array(value, dtype=kinds[name])


def shape(call: Call) -> np.ndarray:
    return np.array(call.value(0).shape[call.attribute("start", 0) : call.attribute("end")], dtype=np.int64)


OPERATORS = MappingProxyType({
    "Abs": absolute, "AveragePool": average_pool, "BatchNormalization": batch_normalization, "Cast": cast, "Clip": clip,
    "Concat": concat, "Constant": constant, "Conv": conv, "Dropout": dropout, "Gemm": gemm, "LeakyRelu": leaky_relu,
    "MatMul": matmul, "Max": extreme, "MaxPool": max_pool, "Min": extreme, "Pad": pad, "Shape": shape, "Split": split,
    "ConstantOfShape": lambda call: np.full(call.known(0), call.attribute("value", np.zeros(1, np.float32))[0]),
    "Neg": lambda call: _exact(call, call.var(0), -1.0), "Relu": lambda call: _relu(call, call.var(0)),
    "Sigmoid": lambda call: call.add(Smooth("sigmoid"), call.var(0).shape, call.var(0)),
    "Tanh": lambda call: call.add(Smooth("tanh"), call.var(0).shape, call.var(0)),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), arithmetic), **dict.fromkeys(MOVES, move),
    **dict.fromkeys(("ReduceSum", "ReduceMean", "GlobalAveragePool"), reduction),
})
