"""Steps that several importers share: sums and products with broadcasting, maxima, padding, dense linear maps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Value, Variable
from verify.onnx_import.windows import Window
from verify.ops import Add, Affine, Concat, Linear, Power, Product, Relu, Transpose

# Dense fallbacks above this many weights (1 GiB in float64) are refused.
DENSE_LIMIT = 2**27


def _shape(call: Call, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ShapeMismatch(f"shapes {[list(s) for s in shapes]} do not broadcast") from error


def _expanded(call: Call, x: Variable, shape: tuple[int, ...]) -> Variable:
    """Entries are read along an axis, of which a scalar has none."""
    return call.expand(x if x.rank or not shape else call.reshape(x, (1,)), shape)


def broadcast(call: Call, *values: Variable) -> tuple[Variable, ...]:
    """All values expanded to their common shape."""
    shape = _shape(call, *(value.shape for value in values))
    return tuple(_expanded(call, value, shape) for value in values)


def affine(call: Call, x: Variable, scale: object = None, shift: object = None, roundings: int | None = 0) -> Variable:
    """scale * x + shift with constants (numbers, arrays, or None for 1 and 0), numpy broadcasting; `roundings` as in
    `Call.add`."""
    parts = [None if part is None else call.tensor(part) for part in (scale, shift)]
    x = _expanded(call, x, _shape(call, x.shape, *(tuple(part.shape) for part in parts if part is not None)))
    return call.add(Affine(*parts), x, roundings=roundings)


def plus(call: Call, a: Value, b: Value, sign: int = 1) -> Variable:
    """a + sign * b with numpy broadcasting, at least one of them a variable."""
    if not isinstance(b, Variable):
        return affine(call, a, shift=sign * call.tensor(b.array, b.name).numpy())
    if not isinstance(a, Variable):
        return affine(call, b, scale=None if sign > 0 else -1.0, shift=call.tensor(a.array, a.name).numpy())
    return call.add(Add((1, sign)), *broadcast(call, a, b))


def times(call: Call, a: Value, b: Value) -> Variable:
    """a * b with numpy broadcasting, at least one of them a variable; a value times itself is its square, of which the
    bounds are tighter than those of a product."""
    if not isinstance(b, Variable):
        return affine(call, a, scale=call.tensor(b.array, b.name).numpy())
    if not isinstance(a, Variable):
        return times(call, b, a)
    return call.add(Power(2), a) if a.name == b.name else call.add(Product(), *broadcast(call, a, b))


def is_mild(factor: object) -> bool:
    """Whether constant factors may be part of a weight: larger or smaller ones, applied last, would hide overflow or
    underflow of what they are applied to (`verify.bounds.noise`, LIMIT and TINY)."""
    size = np.abs(factor)
    return bool((size >= 2.0**-20).all() and (size <= 2.0**20).all())


def maximum(call: Call, a: Variable, b: Variable) -> Variable:
    """max(a, b) = a + relu(b - a), of one shape."""
    over = call.add(Relu(), call.add(Add((1, -1)), b, a, roundings=None))
    return call.add(Add(), a, over, roundings=None)


def minimum(call: Call, a: Variable, b: Variable) -> Variable:
    """min(a, b) = a - relu(a - b), of one shape."""
    over = call.add(Relu(), call.add(Add((1, -1)), a, b, roundings=None))
    return call.add(Add((1, -1)), a, over, roundings=None)


def within(call: Call, x: Variable, low: float, high: float) -> Variable:
    """x, of which every value is known to lie in [low, high]: high - relu((high - low) - relu(x - low)), exactly x.

    Wider intervals of x come out cut to [low, high]; others leave both ReLUs stable."""
    above = call.add(Relu(), affine(call, x, shift=-low, roundings=None))
    room = call.add(Relu(), affine(call, above, scale=-1.0, shift=high - low, roundings=None))
    return affine(call, room, scale=-1.0, shift=high, roundings=None)


def largest(call: Call, x: Variable, stacked: np.ndarray) -> Variable:
    """Maximum over the first axis of `stacked` (k, *shape), flat indices into x, as a balanced tree.

    Every level is one Relu over all its pairs, so the graph has log2(k) nonlinear nodes.
    """
    k, shape = len(stacked), stacked.shape[1:]
    if k == 1:
        return call.gather(x, stacked[0])
    half = k // 2
    best = maximum(call, call.gather(x, stacked[:half]), call.gather(x, stacked[half : 2 * half]))
    if k % 2:
        best = call.add(Concat(0), best, call.gather(x, stacked[2 * half :]))
    rest = np.arange(best.size).reshape(best.shape)
    return call.reshape(best, shape) if len(rest) == 1 else largest(call, best, rest)


def pad_with(call: Call, x: Variable, begin: tuple[int, ...], end: tuple[int, ...], fill: float = 0.0) -> Variable:
    """`fill` around the last axes of x, as many as `begin` and `end` have; negative pads cut."""
    lead = ((0, 0),) * (x.rank - len(begin))
    widths = (*lead, *zip(begin, end, strict=True))
    cut = tuple(slice(max(0, -b), n - max(0, -e)) for n, (b, e) in zip(x.shape, widths, strict=True))
    grow = [(max(0, b), max(0, e)) for b, e in widths]
    return call.rearrange(x, lambda index: np.pad(index[cut], grow, constant_values=-1), fill)


def lift_to_2d(call: Call, x: Variable, weight: Tensor, frame: Window) -> tuple[Variable, Tensor, Window]:
    """A one-dimensional problem as a two-dimensional one of height 1; two-dimensional ones as they are."""
    if x.rank == 4:
        return x, weight, frame
    lifted = Window(
        (1, *frame.size), (1, *frame.kernel), (1, *frame.stride), (1, *frame.dilation), (0, *frame.begin),
        (0, *frame.end), (1, *frame.output),
    )
    return call.reshape(x, (*x.shape[:2], 1, x.shape[2])), weight.unsqueeze(2), lifted


def swap_last(call: Call, x: Variable) -> Variable:
    """The last two axes exchanged."""
    return call.add(Transpose((*range(x.rank - 2), x.rank - 1, x.rank - 2)), x)


def linear_map(call: Call, x: Variable, apply: Callable, shape: tuple[int, ...]) -> Variable:
    """Any linear `apply` as a dense matrix over all entries, for rare forms; `apply` takes (*x.shape)."""
    rows = int(np.prod(shape))
    if rows * x.size > DENSE_LIMIT:
        raise call.refuse(f"its dense form needs {rows} x {x.size} weights, more than {DENSE_LIMIT}")
    matrix = np.zeros((rows, x.size))
    for k in range(x.size):
        unit = np.zeros(x.size)
        unit[k] = 1.0
        matrix[:, k] = apply(unit.reshape(x.shape)).reshape(-1)
    y = call.add(Linear(call.tensor(matrix)), call.reshape(x, (x.size,)))
    return call.reshape(y, shape)


