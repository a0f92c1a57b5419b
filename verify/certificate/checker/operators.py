"""ONNX operators -> steps. The recipes, and so the nonlinear layers that proofs refer to (order, shape, entries):

    max(a, b) = a + relu(b - a)     min(a, b) = a - relu(a - b)     |x| = relu(x) + relu(-x)
    max or min with a constant array c: c + relu(x - c), c - relu(c - x); with a single number: clip
    clip(x, l, u) = l + relu(x - l) - relu(x - u); without u: l + relu(x - l); without l: u - relu(u - x)
    leaky(x) = k x + (1 - k) relu(x)
    a maximum over windows: a balanced tree, max(first half, second half), an odd last entry joining the next level;
    window entries outside the image read, along that axis, the first position inside.

All parts of these are exact in float32 except k x. Constants that float64 cannot hold carry an error of 2^-50 relative.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from types import MappingProxyType

import numpy as np

from verify.certificate.checker.call import Call, Value, Var
from verify.certificate.checker.onnx_reader import TYPES
from verify.certificate.checker.ops import Constant, Conv, Dense, Relu, Smooth, Sum
from verify.certificate.checker.windows import frame, windows


def _error(magnitude: np.ndarray) -> np.ndarray:
    """A power of two of at least 2^-50 |magnitude|, which covers four roundings and underflow; 0 where it is 0."""
    large = np.maximum(np.abs(magnitude), 2.0**-900)
    return np.where(np.asarray(magnitude) == 0, 0.0, np.ldexp(1.0, np.frexp(large)[1] - 50))


def _divided(call: Call, x: Var, divisor: np.ndarray, roundings: int) -> Var:
    """x / divisor; the reciprocal is exact for powers of two."""
    inverse = 1 / np.asarray(divisor, np.float64)
    exact = np.abs(np.frexp(divisor)[0]) == 0.5
    return call.scale(x, inverse, error=None if exact.all() else np.where(exact, 0.0, _error(inverse)),
                      roundings=roundings)


def _relu(call: Call, x: Var, scale: float | None = None, shift: object = None) -> Var:
    """relu(scale x + shift), the inner part of an exact operator."""
    x = x if scale is None and shift is None else call.scale(x, scale, shift, roundings=None)
    return call.add(Relu(), x.shape, x)


def _sum(call: Call, a: Var, b: Var, sign: int = 1, roundings: int | None = None) -> Var:
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = (call.move(v, lambda index: np.broadcast_to(index, shape)) for v in (a, b))
    return call.add(Sum((1, sign), roundings), shape, a, b)


def _transposed(call: Call, x: Value) -> Value:
    return call.move(x, lambda index: np.swapaxes(index, -1, -2))


def _total(call: Call, x: Var, index: np.ndarray) -> Var:
    """Sums over the last axis of `index`, flat positions in x or -1 for none."""
    y = call.add(Dense(np.ones((1, index.shape[-1]))), (*index.shape[:-1], 1), call.take(index, x))
    return call.move(y, lambda flat: flat[..., 0])


def add(call: Call) -> Value:
    a, b = call.value(0), call.value(1)
    sign = -1 if call.node.op_type == "Sub" else 1
    if isinstance(a, Var) and isinstance(b, Var):
        return _sum(call, a, b, sign, roundings=1)
    if isinstance(a, Var):
        return call.scale(a, shift=sign * call.weight(1))
    if isinstance(b, Var):
        return call.scale(b, None if sign > 0 else -1.0, call.weight(0))
    return call.fold(a, b)


def multiply(call: Call) -> Value:
    a, b = call.value(0), call.value(1)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return call.fold(a, b)
    if call.node.op_type == "Div":
        return _divided(call, call.var(0), call.weight(1), 1)
    return call.scale(a, call.weight(1)) if isinstance(a, Var) else call.scale(b, call.weight(0))


def gemm(call: Call) -> Var:
    a, b = call.value(0), call.value(1)
    a, b = (call.move(v, np.transpose) if call.attribute(f"trans{name}", 0) else v for v, name in ((a, "A"), (b, "B")))
    alpha, beta, left = call.attribute("alpha", 1.0), call.attribute("beta", 1.0), isinstance(a, np.ndarray)
    # y = a b, or y' = b' a' where a is the constant.
    x, weight = (_transposed(call, b), a) if left else (a, b.T if isinstance(b, np.ndarray) else None)
    if weight is None or weight.dtype != call.dtype or weight.ndim != 2 or x.shape[1:] != weight.shape[1:]:
        raise call.refuse(f"one factor must be a constant matrix of type {call.dtype} that fits the other")
    weight = np.ascontiguousarray(weight, dtype=np.float64)
    c, plain = call.weight(2) if call.value(2) is not None else None, alpha == beta == 1 and not left
    inside = plain and c is not None and c.shape in ((len(weight),), (1, len(weight)))
    y = call.add(Dense(weight, c.reshape(-1) if inside else None), (x.shape[0], len(weight)), x)
    y = _transposed(call, y) if left else y
    y = y if alpha == 1 else call.scale(y, alpha)
    if c is None or inside:
        return y
    # Products of two float32 numbers are exact in float64.
    exact = beta == 1 or call.dtype == "float32"
    return call.scale(y, None, beta * c, shift_error=None if exact else _error(beta * c))


def matmul(call: Call) -> Var:
    left = isinstance(call.value(0), np.ndarray)
    weight, x = call.weight(0 if left else 1), call.var(1 if left else 0)
    if weight.ndim not in (1, 2):
        raise call.refuse(f"a constant of shape {list(weight.shape)}; a matrix or a vector would be accepted")
    matrix = weight.reshape(-1, weight.shape[-1]) if left else weight.reshape(len(weight), -1).T
    swap = left and len(x.shape) > 1
    x = _transposed(call, x) if swap else x
    if x.shape[-1] != matrix.shape[1]:
        raise call.refuse(f"the factors do not fit: {list(x.shape)} and {list(weight.shape)}")
    y = call.add(Dense(np.ascontiguousarray(matrix)), (*x.shape[:-1], len(matrix)), x)
    y = _transposed(call, y) if swap else y
    return y if weight.ndim == 2 else call.move(y, lambda index: index[..., 0, :] if swap else index[..., 0])


def conv(call: Call) -> Var:
    x, weight = call.var(0), call.weight(1)
    bias, groups = None if call.value(2) is None else call.weight(2), call.attribute("group", 1)
    if len(x.shape) not in (3, 4) or weight.ndim != len(x.shape) or x.shape[1] != weight.shape[1] * groups or (
            len(weight) % groups) or (bias is not None and bias.shape != weight.shape[:1]):
        raise call.refuse(f"weights {list(weight.shape)} in {groups} groups do not fit an input {list(x.shape)}")
    f, flat = frame(call, x.shape[2:], weight.shape[2:]), len(x.shape) == 3
    if f.kernel != weight.shape[2:]:
        raise call.refuse("kernel_shape is not that of the weights")
    # One dimension is two of height 1.
    one, zero = ((1,), (0,)) if flat else ((), ())
    x = call.move(x, lambda index: index.reshape(*x.shape[:2], *one, *x.shape[2:]))
    op = Conv(weight.reshape(*weight.shape[:2], *one, *weight.shape[2:]), bias, (*one, *f.stride),
              (*zero, *f.begin, *zero, *f.end), (*one, *f.dilation), groups)
    y = call.add(op, (x.shape[0], len(weight), *one, *f.output), x)
    return call.move(y, lambda index: index[:, :, 0]) if flat else y


def _largest(call: Call, x: Var, index: np.ndarray) -> Var:
    """The maximum over the first axis of `index`, flat positions in x."""
    if len(index) == 1:
        return call.take(index[0], x)
    half = len(index) // 2
    a, b = call.take(index[:half], x), call.take(index[half : 2 * half], x)
    best = _sum(call, a, _relu(call, _sum(call, b, a, -1)))
    if len(index) % 2:
        joined = np.concatenate([best.index.ravel(), index[-1].ravel() + best.index.size])
        best = call.take(joined.reshape(half + 1, *index.shape[1:]), best, x)
    return _largest(call, best, best.index)


def max_pool(call: Call) -> Var:
    x = call.var(0)
    call.attribute("storage_order")
    return _largest(call, x, windows(call, x, frame(call, x.shape[2:]))[0])


def average_pool(call: Call) -> Var:
    x = call.var(0)
    index, inside = windows(call, x, frame(call, x.shape[2:], sticks_out=False))
    padding = call.attribute("count_include_pad", 0)
    y = _total(call, x, np.moveaxis(np.where(inside, index, -1), 0, -1))
    return _divided(call, y, np.float64(len(index)) if padding else inside.sum(axis=0), 2)


def reduce(call: Call) -> Var:
    """ReduceSum, ReduceMean and GlobalAveragePool."""
    x, kind = call.var(0), call.node.op_type
    if kind == "GlobalAveragePool":
        axes = list(range(2, len(x.shape)))
    else:
        axes = call.numbers("axes", 1, 13 if kind == "ReduceSum" else 18)
    if call.attribute("noop_with_empty_axes", 0) and not axes:
        return x
    axes = sorted({range(len(x.shape))[a] for a in axes or range(len(x.shape))})
    rest, keep = [k for k in range(len(x.shape)) if k not in axes], call.attribute("keepdims", 1)
    shape = [1 if k in axes else n for k, n in enumerate(x.shape) if keep or k in rest]
    y = _total(call, x, x.index.transpose(*rest, *axes).reshape(*shape, -1))
    return y if kind == "ReduceSum" else _divided(call, y, np.float64(math.prod(x.shape[k] for k in axes)), 2)


def batch_normalization(call: Call) -> Var:
    """(x - mean) s + bias with s = scale / sqrt(var + epsilon): two steps, as the shift bias - mean s may cancel."""
    x, (gain, bias, mean, variance) = call.var(0), (call.weight(k) for k in range(1, 5))
    call.attribute("momentum")
    variance = variance + call.attribute("epsilon", float(np.float32(1e-5)))
    if call.attribute("training_mode", 0) or not call.attribute("spatial", 1) or not (variance > 0).all() or any(
            part.shape != x.shape[1:2] for part in (gain, bias, mean, variance)):
        raise call.refuse("only inference with positive variances and one set of numbers per channel is supported")
    gain, bias, mean, variance = (p.reshape(-1, *(1 for _ in x.shape[2:])) for p in (gain, bias, mean, variance))
    factor = gain / np.sqrt(variance)
    # Sum, root and quotient: 2.5 roundings.
    error = np.where(gain == 0, 0.0, _error(np.maximum(np.abs(factor), 2.0**-900)))
    return call.scale(call.scale(x, shift=-mean, roundings=6), factor, bias, error=error, roundings=6)


def leaky_relu(call: Call) -> Var:
    x, slope = call.var(0), call.attribute("alpha", float(np.float32(0.01)))
    error = None if Fraction(1 - slope) == 1 - Fraction(slope) else _error(np.float64(1 - slope))
    positive = call.scale(_relu(call, x), 1 - slope, error=error, roundings=None)
    return _sum(call, call.scale(x, slope), positive)


def _clip(call: Call, x: Var, low: float, high: float) -> Var:
    if not low <= high or any(1e38 <= abs(limit) < math.inf for limit in (low, high)):
        raise call.refuse(f"limits {low} and {high}; finite ones below 1e38, in order, would be accepted")
    if low == -math.inf:
        if high == math.inf:
            return x
        return call.scale(_relu(call, x, -1.0, high), -1.0, high, roundings=None)
    above = _relu(call, x, shift=-low)
    if high < math.inf:
        above = _sum(call, above, _relu(call, x, shift=-high), -1)
    return call.scale(above, None, low, roundings=None)


def clip(call: Call) -> Var:
    if call.opset < 11:
        return _clip(call, call.var(0), call.attribute("min", -math.inf), call.attribute("max", math.inf))
    return _clip(call, call.var(0), call.number(1, -math.inf), call.number(2, math.inf))


def extreme(call: Call) -> Var:
    """Max and Min of any number of values, from the left."""
    best = call.value(0)
    for k in range(1, len(call.inputs)):
        best = _pair(call, best, call.value(k), -1 if call.node.op_type == "Min" else 1)
    return best


def _pair(call: Call, a: Value, b: Value, sign: int) -> Var:
    """max(a, b), or min(a, b) for sign -1."""
    a, b = (a, b) if isinstance(a, Var) else (b, a)
    if not isinstance(a, Var):
        raise call.refuse("the extreme of two constants")
    if isinstance(b, Var):
        over = _relu(call, _sum(call, b, a, -1) if sign > 0 else _sum(call, a, b, -1))
        return _sum(call, a, over, sign)
    if b.size == 1 and b.ndim <= len(a.shape):
        limit = float(b.reshape(()))
        return _clip(call, a, limit, math.inf) if sign > 0 else _clip(call, a, -math.inf, limit)
    return call.scale(_relu(call, a, sign, -sign * b.astype(np.float64)), sign, b, roundings=None)


def absolute(call: Call) -> Var:
    x = call.var(0)
    return _sum(call, _relu(call, x), _relu(call, x, -1.0))


def negative(call: Call) -> Var:
    return call.scale(call.var(0), -1.0, roundings=None)


def nonlinear(call: Call) -> Var:
    x, kind = call.var(0), call.node.op_type
    return _relu(call, x) if kind == "Relu" else call.add(Smooth(kind.lower()), x.shape, x)


def moved(how: Callable[[Call, np.ndarray], np.ndarray]) -> Callable[[Call], Value]:
    """The operator that moves entries as `how` moves those of an array of the input's shape."""
    return lambda call: call.move(call.value(0), lambda index: how(call, index))


def reshape(call: Call, index: np.ndarray) -> np.ndarray:
    sizes = [int(v) for v in call.known(1)]
    if not call.attribute("allowzero", 0):
        sizes = [index.shape[k] if size == 0 else size for k, size in enumerate(sizes)]
    if min(sizes, default=0) < -1:
        raise call.refuse(f"sizes {sizes}")
    return index.reshape(sizes)


def flatten(call: Call, index: np.ndarray) -> np.ndarray:
    return index.reshape(math.prod(index.shape[: call.attribute("axis", 1)]), -1)


def squeeze(call: Call, index: np.ndarray) -> np.ndarray:
    axes = call.numbers("axes", 1, 13)
    return np.squeeze(index, tuple(axes) if axes else None)


def unsqueeze(call: Call, index: np.ndarray) -> np.ndarray:
    return np.expand_dims(index, tuple(call.numbers("axes", 1, 13)))


def transpose(call: Call, index: np.ndarray) -> np.ndarray:
    return np.transpose(index, call.attribute("perm"))


def gather(call: Call, index: np.ndarray) -> np.ndarray:
    return np.take(index, call.known(1), call.attribute("axis", 0))


def expand(call: Call, index: np.ndarray) -> np.ndarray:
    return np.broadcast_to(index, np.broadcast_shapes(index.shape, tuple(call.known(1))))


def slice_(call: Call, index: np.ndarray) -> np.ndarray:
    starts, ends, axes = (call.numbers(name, k, 10) for k, name in enumerate(("starts", "ends", "axes"), 1))
    steps = call.numbers("", 4, 10) or [1] * len(starts)
    cut = [slice(None)] * index.ndim
    for start, end, axis, step in zip(starts, ends, axes or range(len(starts)), steps, strict=True):
        # Python would read an end before the first entry, -1 when clamped, as the last one.
        cut[axis] = slice(start, None if step < 0 and end < -index.shape[axis] else end, step)
    return index[tuple(cut)]


def split(call: Call) -> tuple[Value, ...]:
    x, axis, count = call.value(0), call.attribute("axis", 0), len(call.node.outputs)
    sizes, count = call.numbers("split", 1, 13), call.attribute("num_outputs", count)
    if not sizes:
        largest = -(-x.shape[axis] // count)
        sizes = [min(largest, x.shape[axis] - k * largest) for k in range(count)]
    if len(sizes) != len(call.node.outputs) or sum(sizes) != x.shape[axis] or min(sizes) < 1:
        raise call.refuse(f"sizes {sizes} for {count} parts of an axis of size {x.shape[axis]}")
    ends = np.cumsum(sizes)
    return tuple(call.move(x, lambda index, e=e, s=s: np.take(index, range(e - s, e), axis))
                 for e, s in zip(ends, sizes, strict=True))


def concat(call: Call) -> Value:
    values, axis = [call.value(k) for k in range(len(call.inputs))], operator.index(call.attribute("axis"))
    if not any(isinstance(value, Var) for value in values):
        return np.concatenate(values, axis)
    parts = [call.var(k) for k, value in enumerate(values) if isinstance(value, Var) or value.size]
    starts = np.cumsum([0, *(part.index.size for part in parts)])
    return call.take(np.concatenate([p.index + s for p, s in zip(parts, starts, strict=False)], axis), *parts)


def pad(call: Call) -> Var:
    x, mode, pads = call.var(0), call.attribute("mode", "constant"), call.numbers("pads", 1, 11)
    fill = call.attribute("value", 0.0) if call.opset < 11 else call.number(2, 0.0)
    axes = (call.numbers("axes", 3, 18) if call.opset >= 18 else None) or list(range(len(x.shape)))
    widths = [(0, 0)] * len(x.shape)
    for axis, begin, end in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        widths[axis] = begin, end
    if mode != "constant":
        raise call.refuse(f"mode {mode}; constant would be accepted")
    cut = tuple(slice(max(0, -b), n - max(0, -e)) for n, (b, e) in zip(x.shape, widths, strict=True))
    grow, outside = [(max(0, b), max(0, e)) for b, e in widths], -1 if fill == 0 else x.index.size
    index = np.pad(x.index[cut], grow, constant_values=outside)
    return call.take(index, x) if fill == 0 else call.take(index, x, call.add(Constant(np.array([fill])), (1,)))


def cast(call: Call) -> Value:
    x, to = call.value(0), np.dtype(TYPES[call.attribute("to")][0])
    call.attribute("saturate")
    if to != call.dtype if isinstance(x, Var) else not np.array_equal(x.astype(to), x):
        raise call.refuse(f"a cast to {to.name} that changes values or the network's type {call.dtype}")
    return x if isinstance(x, Var) else x.astype(to)


def unchanged(call: Call) -> Value:
    if call.node.op_type == "Dropout":
        call.attribute("ratio"), call.attribute("seed"), call.value(1)
        if call.number(2, 0):
            raise call.refuse("training mode; inference would be accepted")
    return call.value(0)


def constant(call: Call) -> np.ndarray:
    (name, value), = call.node.attributes.items()
    call.attribute(name)
    kinds = {"value": None, "value_float": "<f4", "value_floats": "<f4", "value_int": "<i8", "value_ints": "<i8"}
    return value if name == "value" else np.array(value, dtype=kinds[name])


def shape(call: Call) -> np.ndarray:
    return np.array(call.value(0).shape[call.attribute("start", 0) : call.attribute("end")], dtype=np.int64)


def constant_of_shape(call: Call) -> np.ndarray:
    return np.full(call.known(0), call.attribute("value", np.zeros(1, np.float32))[0])


OPERATORS = MappingProxyType({
    "Abs": absolute, "Add": add, "AveragePool": average_pool, "BatchNormalization": batch_normalization, "Cast": cast,
    "Clip": clip, "Concat": concat, "Constant": constant, "ConstantOfShape": constant_of_shape, "Conv": conv,
    "Div": multiply, "Dropout": unchanged, "Expand": moved(expand), "Flatten": moved(flatten), "Gather": moved(gather),
    "Gemm": gemm, "GlobalAveragePool": reduce, "Identity": unchanged, "LeakyRelu": leaky_relu, "MatMul": matmul,
    "Max": extreme, "MaxPool": max_pool, "Min": extreme, "Mul": multiply, "Neg": negative, "Pad": pad,
    "ReduceMean": reduce, "ReduceSum": reduce, "Relu": nonlinear, "Reshape": moved(reshape), "Shape": shape,
    "Sigmoid": nonlinear, "Slice": moved(slice_), "Split": split, "Squeeze": moved(squeeze), "Sub": add,
    "Tanh": nonlinear, "Transpose": moved(transpose), "Unsqueeze": moved(unsqueeze),
})
FOLDED = frozenset({
    "Add", "Sub", "Mul", "Div", "Cast", "Concat", "ConstantOfShape", "Dropout", "Expand", "Flatten", "Gather",
    "Identity", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
})
