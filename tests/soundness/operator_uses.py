"""How ONNX operators are used in random networks: each function takes values drawn so far, draws attributes and
constants, and adds its nodes.

Arguments are brought to where an operator is defined on the sampled box, most of the time by a map that keeps them
there on larger boxes, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.soundness.operator_draw import LARGEST, Draw, Unfit, Value

Build = Callable[[Draw], Value]


def curve(operator: str, low: float = -LARGEST, high: float = LARGEST, **attributes: tuple[float, float]) -> Build:
    """A unary operator on arguments between low and high; `attributes`: where they are drawn from."""
    def build(d: Draw) -> Value:
        drawn = {name: d.uniform(*ends) for name, ends in attributes.items() if d.chance(0.7)}
        return d.add(operator, d.moved(d.any(), low, high), **drawn)

    return build


def of_positive(operator: str) -> Build:
    return lambda d: d.add(operator, d.positive(d.any()))


def reciprocal(d: Draw) -> Value:
    x = d.positive(d.any())
    return d.add("Reciprocal", d.add("Neg", x) if d.chance(0.4) else x)


def gelu(d: Draw) -> Value:
    return d.add("Gelu", d.any(), approximate=d.choose("none", "tanh"))


def prelu(d: Draw) -> Value:
    x = d.any()
    return d.add("PRelu", x, d.constant(d.normal(*(x.shape[-1:] if d.chance(0.5) else x.shape))))


def clip(d: Draw) -> Value:
    """Limits constant, missing, or values of the network."""
    x = d.any()

    def limit(factor: float) -> Value | str:
        kind = d.number(0, 4)
        if kind == 0:
            return ""
        if kind == 1:
            return d.shaped((), d.any())
        return d.constant(np.float32(x.low + factor * (x.high - x.low) + 0.01))

    return d.add("Clip", x, limit(d.uniform(-0.2, 0.4)), limit(d.uniform(0.6, 1.2)))


def partner(d: Draw, x: Value) -> Value | str:
    """Something that broadcasts against x: a value of its shape or of one with axes of 1, or a constant."""
    shape = tuple(n if d.chance(0.7) else 1 for n in x.shape)
    shape = shape[d.number(0, len(shape) - 1):] if shape and d.chance(0.2) else shape
    return d.constant(d.normal(*shape)) if d.chance(0.3) else d.shaped(shape)


def binary(operator: str, limit: float = LARGEST) -> Build:
    def build(d: Draw) -> Value:
        x = d.tame(d.any(), limit)
        y = partner(d, x)
        y = d.tame(y, limit) if isinstance(y, Value) else y
        return d.add(operator, *((x, y) if d.chance(0.5) else (y, x)))

    return build


def several(operator: str) -> Build:
    def build(d: Draw) -> Value:
        x = d.any()
        return d.add(operator, x, *(partner(d, x) for _ in range(d.number(1, 2))))

    return build


def square(d: Draw) -> Value:
    x = d.tame(d.any(), 5.0)
    return d.add("Mul", x, x)


def div(d: Draw) -> Value:
    x = d.any()
    below = d.positive(d.shaped(x.shape))
    top: Value | str = d.constant(d.normal(*x.shape)) if d.chance(0.3) else x
    return d.add("Div", top, d.add("Neg", below) if d.chance(0.3) else below)


def div_by_constant(d: Draw) -> Value:
    x = d.any()
    c = d.normal(*x.shape[-1:])
    return d.add("Div", x, d.constant(np.where(np.abs(c) < 0.1, np.float32(0.5), c)))


def power(d: Draw) -> Value:
    """By integers anywhere, by other constants where the base is positive."""
    if d.chance(0.5):
        exponent = np.float32(d.choose(0, 1, 2, 2, 3, 4))
        return d.add("Pow", d.tame(d.any(), 3.0), d.constant(exponent))
    exponent = np.float32(d.choose(-2, -1, -0.5, 0.3, 0.5, 1.5, 2.5))
    return d.add("Pow", d.positive(d.any()), d.constant(exponent))


def power_several(d: Draw) -> Value:
    x = d.positive(d.any())
    return d.add("Pow", x, d.constant(d.rng.choice([0.0, 0.5, 1.0, 2.0, 3.0, -1.0], x.shape[-1:]).astype(np.float32)))


def power_of_constant(d: Draw) -> Value:
    x = d.tame(d.any(), 3.0)
    return d.add("Pow", d.constant(np.float32(d.uniform(0.2, 3.0))), x)


def power_both(d: Draw) -> Value:
    x = d.positive(d.any())
    return d.add("Pow", x, d.tame(d.shaped(x.shape), 2.0))


def mod(d: Draw) -> Value:
    x = d.any()
    c = np.abs(d.normal(*x.shape[-1:])) + np.float32(0.2)
    return d.add("Mod", x, d.constant(c * np.float32(d.choose(-1, 1))), fmod=1)


def condition(d: Draw, x: Value) -> Value:
    """A comparison that broadcasts against x, rarely two of them combined."""
    kind = d.number(0, 9)
    if kind == 0:
        return d.add("Not", condition(d, x))
    if kind in (1, 2):
        return d.add(d.choose("And", "Or", "Xor"), condition(d, x), condition(d, x))
    y: Value | str = d.constant(np.float32(d.uniform(x.low, x.high))) if d.chance(0.5) else d.shaped(x.shape)
    return d.add(d.choose("Greater", "Less", "GreaterOrEqual", "LessOrEqual"), x, y)


def comparison(operator: str) -> Build:
    def build(d: Draw) -> Value:
        x = d.any()
        y = d.constant(np.float32(d.uniform(x.low, x.high))) if d.chance(0.5) else partner(d, x)
        return d.cast(d.add(operator, x, y))

    return build


def where(d: Draw) -> Value:
    x = d.any()
    mask: Value | str = d.constant(d.rng.random(x.shape) < 0.5) if d.chance(0.3) else condition(d, d.shaped(x.shape))
    return d.add("Where", mask, x, partner(d, x))


def matmul(d: Draw) -> Value:
    """Of two values, sometimes batched, sometimes with a vector."""
    m, k, n = (d.number(1, 3) for _ in range(3))
    batch = (d.number(1, 2),) if d.chance(0.4) else ()
    left, right = d.choose(((*batch, m, k), (*batch, k, n)), ((*batch, m, k), (k, n)), ((k,), (k, n)), ((m, k), (k,)))
    return d.add("MatMul", d.tame(d.shaped(left), 6.0), d.tame(d.shaped(right), 6.0))


def dense(d: Draw) -> Value:
    x = d.any(2)
    return d.add("MatMul", x, d.constant(d.normal(x.shape[-1], d.number(1, 4))))


def gemm(d: Draw) -> Value:
    m, k, n, a, b = *(d.number(1, 3) for _ in range(3)), d.number(0, 1), d.number(0, 1)
    x = d.shaped((k, m) if a else (m, k))
    shape = (n, k) if b else (k, n)
    y: Value | str = d.constant(d.normal(*shape)) if d.chance(0.5) else d.tame(d.shaped(shape), 6.0)
    c: tuple = () if d.chance(0.3) else (d.constant(d.normal(n)) if d.chance(0.5) else d.shaped((m, n)),)
    return d.add("Gemm", d.tame(x, 6.0), y, *c, transA=a, transB=b, alpha=d.uniform(0.3, 1.5),
                 beta=d.uniform(-1.0, 1.0))


def einsum(d: Draw) -> Value:
    i, j, k = (d.number(1, 3) for _ in range(3))
    equation, *shapes = d.choose(("ij,jk->ik", (i, j), (j, k)), ("ij,ij->i", (i, j), (i, j)), ("ii->i", (i, i)),
                                 ("bij,bkj->bik", (1, i, j), (1, k, j)), ("i,j->ij", (i,), (j,)),
                                 ("ij,jk,kj->i", (i, j), (j, k), (k, j)))
    return d.add("Einsum", *(d.tame(d.shaped(shape), 3.0) for shape in shapes), equation=equation)


def along(operator: str, limit: float = LARGEST) -> Build:
    """Operators with an axis that may be negative."""
    def build(d: Draw) -> Value:
        x = d.tame(d.any(), limit)
        return d.add(operator, x, axis=d.number(-len(x.shape), len(x.shape) - 1))

    return build


def attention(d: Draw) -> Value:
    """softmax(q k^T / sqrt(w)) v."""
    tokens, width = d.number(2, 3), d.number(1, 3)
    q, k, v = (d.tame(d.shaped((1, tokens, width)), 3.0) for _ in range(3))
    scores = d.add("MatMul", q, d.add("Transpose", k, perm=[0, 2, 1]))
    scores = d.add("Mul", scores, d.constant(np.float32(width**-0.5)))
    return d.add("MatMul", d.add("Softmax", scores, axis=-1), v)


def cum_sum(d: Draw) -> Value:
    x = d.any()
    axis = d.constant(np.int64(d.number(0, len(x.shape) - 1)))
    return d.add("CumSum", x, axis, exclusive=d.number(0, 1), reverse=d.number(0, 1))


def reduction(operator: str, limit: float = LARGEST, positive: bool = False) -> Build:
    """Over some or all axes, given as an attribute or, later on, as an input."""
    def build(d: Draw) -> Value:
        x = d.positive(d.any()) if positive else d.tame(d.any(), limit)
        keep, axes = {"keepdims": d.number(0, 1)}, d.axes(x.shape)
        if d.chance(0.2):
            return d.add(operator, x, **keep)
        if d.opset >= (13 if operator == "ReduceSum" else 18):
            return d.add(operator, x, d.ints(*axes), **keep)
        return d.add(operator, x, axes=axes, **keep)

    return build


def positions(operator: str) -> Build:
    def build(d: Draw) -> Value:
        x = d.any()
        found = d.add(operator, x, axis=d.number(0, len(x.shape) - 1), keepdims=d.number(0, 1),
                      select_last_index=d.number(0, 1))
        return d.cast(found)

    return build


def top_k(d: Draw) -> Value:
    x = d.any()
    axis = int(np.argmax(x.shape))
    values, places = d.several("TopK", 2, x, d.ints(d.number(1, min(3, x.shape[axis]))), axis=axis,
                               largest=d.number(0, 1))
    return values if d.chance(0.7) else d.cast(places)


def layer_norm(d: Draw) -> Value:
    x = d.any(2)
    axis = d.number(1, len(x.shape) - 1)
    more = [d.constant(d.normal(*x.shape[axis:])) for _ in range(d.number(1, 2))]
    return d.add("LayerNormalization", x, *more, axis=axis, epsilon=d.choose(1e-5, 1e-2, 0.1))


def rms_norm(d: Draw) -> Value:
    x = d.any(2)
    axis = d.number(1, len(x.shape) - 1)
    return d.add("RMSNormalization", x, d.constant(d.normal(*x.shape[axis:])), axis=axis,
                 epsilon=d.choose(1e-5, 1e-2, 0.1))


def instance_norm(d: Draw) -> Value:
    channels = d.number(1, 2)
    x = d.shaped((1, channels, *(d.number(2, 3) for _ in range(d.number(1, 2)))))
    return d.add("InstanceNormalization", x, *(d.constant(d.normal(channels)) for _ in range(2)),
                 epsilon=d.choose(1e-5, 1e-2))


def group_norm(d: Draw) -> Value:
    groups, each = d.number(1, 2), d.number(1, 2)
    x = d.shaped((1, groups * each, d.number(2, 3)))
    return d.add("GroupNormalization", x, *(d.constant(d.normal(groups * each)) for _ in range(2)), num_groups=groups,
                 epsilon=d.choose(1e-5, 1e-2))


def mean_variance(d: Draw) -> Value:
    return d.add("MeanVarianceNormalization", d.shaped((1, 2, 2, d.number(1, 2))))


def lp_norm(d: Draw) -> Value:
    x = d.positive(d.any())
    return d.add("LpNormalization", x, p=d.number(1, 2), axis=d.number(-1, len(x.shape) - 1))


def lrn(d: Draw) -> Value:
    return d.add("LRN", d.shaped((1, d.number(1, 4), 1, 2)), size=d.choose(1, 3), alpha=d.uniform(0.1, 2.0),
                 beta=d.uniform(0.2, 1.0), bias=d.uniform(0.5, 2.0))


def batch_norm(d: Draw) -> Value:
    x = d.any(2)
    parts = [d.constant(d.normal(x.shape[1])) for _ in range(3)]
    return d.add("BatchNormalization", x, *parts, d.constant(np.abs(d.normal(x.shape[1])) + np.float32(0.1)))


def image(d: Draw) -> Value:
    return d.shaped((1, d.number(1, 2), d.number(2, 3), d.number(2, 3)))


def window(d: Draw, x: Value) -> dict:
    kernel = [d.number(1, min(2, n)) for n in x.shape[2:]]
    return {"kernel_shape": kernel, "strides": [d.number(1, 2) for _ in kernel],
            "pads": [d.number(0, k - 1) for k in kernel * 2]}


def pool(operator: str, **attributes: tuple[int, int]) -> Build:
    def build(d: Draw) -> Value:
        x = image(d)
        return d.add(operator, x, **window(d, x), **{name: d.number(*ends) for name, ends in attributes.items()})

    return build


def whole(operator: str, **attributes: tuple[int, int]) -> Build:
    """Pooling over the whole image."""
    return lambda d: d.add(operator, image(d), **{name: d.number(*ends) for name, ends in attributes.items()})


def conv(d: Draw) -> Value:
    x = image(d)
    frame = window(d, x)
    weight = d.normal(d.number(1, 2), x.shape[1], *frame["kernel_shape"])
    return d.add("Conv", x, d.constant(weight), *([d.constant(d.normal(len(weight)))] if d.chance(0.5) else []),
                 **frame)


def conv_transpose(d: Draw) -> Value:
    x = image(d)
    kernel = [d.number(1, 2), d.number(1, 2)]
    return d.add("ConvTranspose", x, d.constant(d.normal(x.shape[1], 1, *kernel)), kernel_shape=kernel,
                 strides=[d.number(1, 2), 1])


def resize(d: Draw) -> Value:
    x = image(d)
    sizes = d.ints(*x.shape[:2], *(d.number(1, 4) for _ in range(2)))
    return d.add("Resize", x, "", "", sizes, mode=d.choose("nearest", "linear"))


def cut_out(d: Draw) -> Value:
    x = d.any()
    axis = len(x.shape) - 1
    if d.chance(0.3):
        return d.add("Slice", x, d.ints(-1), d.ints(-100), d.ints(axis), d.ints(-1))
    return d.add("Slice", x, d.ints(d.number(0, x.shape[axis] - 1)), d.ints(100), d.ints(axis), d.ints(d.number(1, 2)))


def gather(d: Draw) -> Value:
    x = d.any()
    axis = d.number(0, len(x.shape) - 1)
    index = d.rng.integers(-x.shape[axis], x.shape[axis], d.number(1, 4))
    return d.add("Gather", x, d.constant(index.astype(np.int64)), axis=axis)


def gather_elements(d: Draw) -> Value:
    x = d.any(2)
    return d.add("GatherElements", x, d.constant(d.rng.integers(0, x.shape[-1], x.shape).astype(np.int64)), axis=-1)


def scattered(d: Draw) -> dict[str, str]:
    """How what is scattered meets what was there."""
    return {"reduction": d.choose("none", "add", "mul", "max", "min")} if d.opset >= 18 else {}


def scatter_elements(d: Draw) -> Value:
    x = d.tame(d.any(2), 6.0)
    index = d.rng.permuted(np.broadcast_to(np.arange(x.shape[-1]), x.shape), axis=-1).astype(np.int64)
    return d.add("ScatterElements", x, d.constant(index), d.shaped(x.shape), axis=-1, **scattered(d))


def scatter_nd(d: Draw) -> Value:
    x = d.tame(d.any(2), 6.0)
    index = np.array([[d.number(0, n - 1) for n in x.shape]], np.int64)
    update: Value | str = d.shaped((1,)) if d.chance(0.7) else d.constant(d.normal(1))
    return d.add("ScatterND", x, d.constant(index), update, **scattered(d))


def pad(d: Draw) -> Value:
    x = d.any(2)
    pads = [d.number(0, 1) if n > 1 and k > 0 else 0 for k, n in enumerate(x.shape)]
    mode = d.choose("constant", "reflect", "edge")
    value = (d.constant(np.float32(d.uniform(-1, 1))),) if mode == "constant" else ()
    return d.add("Pad", x, d.ints(*pads, *pads), *value, mode=mode)


def concat(d: Draw) -> Value:
    x = d.any()
    axis = d.number(-1, len(x.shape) - 1)
    return d.add("Concat", x, *(d.shaped(x.shape) for _ in range(d.number(1, 2))), axis=axis)


def split(d: Draw) -> Value:
    x = d.any()
    axis = int(np.argmax(x.shape))
    if x.shape[axis] < 2:
        raise Unfit("Split")
    first = d.number(1, x.shape[axis] - 1)
    parts = d.several("Split", 2, x, d.ints(first, x.shape[axis] - first), axis=axis)
    return d.add("Concat", parts[1], parts[0], axis=axis)


def transpose(d: Draw) -> Value:
    x = d.any()
    return d.add("Transpose", x, perm=d.rng.permutation(len(x.shape)).tolist())


def expand(d: Draw) -> Value:
    x = d.any()
    return d.add("Expand", x, d.ints(d.number(1, 2), *(1 for _ in x.shape)))


def tile(d: Draw) -> Value:
    x = d.any()
    return d.add("Tile", x, d.ints(*(d.number(1, 2) if n == 1 else 1 for n in x.shape)))


def trilu(d: Draw) -> Value:
    return d.add("Trilu", d.shaped((1, d.number(2, 3), d.number(2, 3))), upper=d.number(0, 1))


def depth_to_space(d: Draw) -> Value:
    return d.add("DepthToSpace", d.shaped((1, 4, 1, d.number(1, 2))), blocksize=2, mode=d.choose("DCR", "CRD"))


def recurrent(operator: str, gates: int) -> Build:
    """Two steps of a cell with one or two states; the last state."""
    def build(d: Draw) -> Value:
        steps, width, hidden = 2, d.number(1, 2), d.number(1, 2)
        x = d.tame(d.shaped((steps, 1, width)), 4.0)
        parts = [d.constant(d.normal(1, gates * hidden, n)) for n in (width, hidden)]
        bias = (d.constant(d.normal(1, 2 * gates * hidden)),) if d.chance(0.7) else ()
        more = {"linear_before_reset": d.number(0, 1)} if operator == "GRU" else {}
        return d.several(operator, 2, x, *parts, *bias, hidden_size=hidden, **more)[d.number(0, 1)]

    return build


def quantised(d: Draw) -> Value:
    x = d.any()
    scale, zero = d.constant(np.float32(d.choose(0.05, 0.1, 0.25))), d.constant(np.int8(d.number(-3, 3)))
    return d.add("DequantizeLinear", d.add("QuantizeLinear", x, scale, zero), scale, zero)


def gate(d: Draw) -> Value:
    """x sigmoid(y), often with x = y (SiLU as exporters write it)."""
    x = d.any()
    return d.add("Mul", x, d.add("Sigmoid", x if d.chance(0.5) else d.shaped(x.shape)))
