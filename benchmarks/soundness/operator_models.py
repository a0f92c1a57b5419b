"""Random ONNX models of one operator each: shapes, attributes and constants drawn anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET = 13


@dataclass(frozen=True, eq=False)
class Draw:
    """One drawn operator: its model collects constants and nodes; every method returns a name."""

    rng: np.random.Generator
    nodes: list
    known: list

    def number(self, low: int, high: int) -> int:
        """An integer, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def flat(self) -> tuple[int, ...]:
        return (1, self.number(1, 7))

    def image(self) -> tuple[int, ...]:
        return (1, self.number(1, 3), self.number(2, 6), self.number(2, 6))

    def any_shape(self) -> tuple[int, ...]:
        return self.image() if self.chance(0.5) else self.flat()

    def values(self, *shape: int) -> np.ndarray:
        """Constants over several orders of magnitude, some of them 0."""
        size = 10.0 ** self.rng.uniform(-2, 2)
        drawn = self.rng.standard_normal(shape) * size * (self.rng.random(shape) > 0.1)
        return drawn.astype(np.float32)

    def constant(self, values) -> str:
        name = f"c{len(self.known)}"
        self.known.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def add(self, operator: str, *inputs: str, outputs: tuple[str, ...] = ("y",), **attributes) -> None:
        self.nodes.append(helper.make_node(operator, list(inputs), list(outputs), **attributes))


def _unary(operator: str, **attributes):
    def build(d: Draw) -> tuple[int, ...]:
        d.add(operator, "x", **{name: float(d.rng.uniform(*ends)) for name, ends in attributes.items()})
        return d.any_shape()

    return build


def _with_constant(operator: str, least: float = 0.0, sides: tuple[bool, ...] = (False, True)):
    """x op c or c op x, c of x's shape or broadcast."""
    def build(d: Draw) -> tuple[int, ...]:
        shape = d.any_shape()
        c = d.values(*(n if d.chance(0.6) else 1 for n in shape))
        c = np.where(np.abs(c) < least, np.float32(least), c)
        left = sides[d.number(0, len(sides) - 1)]
        d.add(operator, *((d.constant(c), "x") if left else ("x", d.constant(c))))
        return shape

    return build


def _clip(d: Draw) -> tuple[int, ...]:
    low = np.float32(d.rng.normal())
    d.add("Clip", "x", d.constant(low), d.constant(np.float32(low + abs(d.rng.normal()))))
    return d.any_shape()


def _prelu(d: Draw) -> tuple[int, ...]:
    shape = d.image()
    d.add("PRelu", "x", d.constant(d.values(shape[1], 1, 1)))
    return shape


def _gemm(d: Draw) -> tuple[int, ...]:
    i, o, turned = d.number(1, 12), d.number(1, 6), d.chance(0.5)
    d.add("Gemm", "x", d.constant(d.values(*((o, i) if turned else (i, o)))), d.constant(d.values(o)),
          transB=int(turned), alpha=float(d.rng.choice([1.0, 0.3])), beta=float(d.rng.choice([1.0, 1.7])))
    return (1, i)


def _matmul(d: Draw) -> tuple[int, ...]:
    i, o = d.number(1, 40), d.number(1, 5)
    d.add("MatMul", "x", d.constant(d.values(i, o)))
    return (1, d.number(1, 3), i) if d.chance(0.3) else (1, i)


def _window(d: Draw, shape: tuple[int, ...], most: int = 3) -> dict:
    kernel = [d.number(1, min(most, n)) for n in shape[2:]]
    return {"kernel_shape": kernel, "strides": [d.number(1, 2) for _ in kernel],
            "pads": [d.number(0, k - 1) for k in kernel * 2]}


def _conv(d: Draw) -> tuple[int, ...]:
    groups = d.number(1, 2)
    shape = (1, groups * d.number(1, 2), d.number(3, 6), d.number(3, 6))
    frame = _window(d, shape)
    frame["dilations"] = [d.number(1, 2) if k < 3 else 1 for k in frame["kernel_shape"]]
    o = groups * d.number(1, 2)
    weight = d.values(o, shape[1] // groups, *frame["kernel_shape"])
    bias = (d.constant(d.values(o)),) if d.chance(0.7) else ()
    d.add("Conv", "x", d.constant(weight), *bias, group=groups, **frame)
    return shape


def _conv_transpose(d: Draw) -> tuple[int, ...]:
    shape, o = d.image(), d.number(1, 2)
    kernel, strides = [d.number(1, 3), d.number(1, 3)], [d.number(1, 2), d.number(1, 2)]
    pads = [d.number(0, (k - 1) // 2) for k in kernel] * 2
    weight = d.values(shape[1], o, *kernel)
    d.add("ConvTranspose", "x", d.constant(weight), d.constant(d.values(o)), kernel_shape=kernel, strides=strides,
          pads=pads)
    return shape


def _pool(operator: str, **attributes):
    def build(d: Draw) -> tuple[int, ...]:
        shape = d.image()
        more = {name: d.number(0, 1) for name in attributes}
        d.add(operator, "x", **_window(d, shape), **more)
        return shape

    return build


def _batch_norm(d: Draw) -> tuple[int, ...]:
    shape = d.image()
    parts = [d.values(shape[1]) for _ in range(3)] + [np.abs(d.values(shape[1])) + np.float32(0.1)]
    d.add("BatchNormalization", "x", *(d.constant(part) for part in parts))
    return shape


def _reduce(operator: str):
    def build(d: Draw) -> tuple[int, ...]:
        shape = d.image()
        axes = sorted(d.rng.permutation([1, 2, 3])[: d.number(1, 3)].tolist())
        if operator == "ReduceSum":
            d.add(operator, "x", d.ints(*axes), keepdims=d.number(0, 1))
        else:
            d.add(operator, "x", axes=axes, keepdims=d.number(0, 1))
        return shape

    return build


def _pad(d: Draw) -> tuple[int, ...]:
    pads = [0, 0, d.number(0, 2), d.number(0, 2)] * 2
    d.add("Pad", "x", d.ints(*pads), d.constant(np.float32(d.rng.normal())), mode="constant")
    return d.image()


def _slice(d: Draw) -> tuple[int, ...]:
    shape = d.image()
    start, step = d.number(0, shape[2] - 1), d.number(1, 2)
    d.add("Slice", "x", d.ints(start), d.ints(shape[2]), d.ints(2), d.ints(step))
    return shape


def _transpose(d: Draw) -> tuple[int, ...]:
    d.add("Transpose", "x", perm=[0, *(1 + d.rng.permutation(3)).tolist()])
    return d.image()


def _concat(d: Draw) -> tuple[int, ...]:
    shape = d.flat()
    d.add("Concat", "x", d.constant(d.values(1, 2)), "x", axis=1)
    return shape


def _split(d: Draw) -> tuple[int, ...]:
    a, b = d.number(1, 4), d.number(1, 4)
    d.add("Split", "x", d.ints(a, b), outputs=("u", "v"), axis=1)
    d.add("Concat", "v", "u", axis=1)
    return (1, a + b)


def _gather(d: Draw) -> tuple[int, ...]:
    shape = d.flat()
    d.add("Gather", "x", d.ints(*(d.number(0, shape[1] - 1) for _ in range(d.number(1, 5)))), axis=1)
    return shape


def _where(d: Draw) -> tuple[int, ...]:
    shape = d.flat()
    d.add("Where", d.constant(d.rng.random(shape) < 0.5), "x", d.constant(d.values(*shape)))
    return shape


def _pair(operator: str):
    """op(x, c x): both sides depend on the input."""
    def build(d: Draw) -> tuple[int, ...]:
        shape = d.flat()
        d.add("Mul", "x", d.constant(d.values(*shape)), outputs=("u",))
        d.add(operator, "x", "u")
        return shape

    return build


BUILDERS: MappingProxyType[str, Callable[[Draw], tuple[int, ...]]] = MappingProxyType({
    "Relu": _unary("Relu"), "LeakyRelu": _unary("LeakyRelu", alpha=(-0.5, 2.0)), "PRelu": _prelu,
    "Sigmoid": _unary("Sigmoid"), "Tanh": _unary("Tanh"), "Clip": _clip, "Abs": _unary("Abs"), "Neg": _unary("Neg"),
    "HardSigmoid": _unary("HardSigmoid", alpha=(0.1, 1.0), beta=(0.0, 1.0)), "Add": _with_constant("Add"),
    "Sub": _with_constant("Sub"), "Mul": _with_constant("Mul"), "Div": _with_constant("Div", 0.01, (False,)),
    "Max": _with_constant("Max"), "Min": _with_constant("Min"), "Max of two": _pair("Max"), "Min of two": _pair("Min"),
    "Add of two": _pair("Add"), "Sub of two": _pair("Sub"), "Gemm": _gemm, "MatMul": _matmul, "Conv": _conv,
    "ConvTranspose": _conv_transpose, "MaxPool": _pool("MaxPool"),
    "AveragePool": _pool("AveragePool", count_include_pad=1), "BatchNormalization": _batch_norm,
    "ReduceMean": _reduce("ReduceMean"), "ReduceSum": _reduce("ReduceSum"), "Pad": _pad, "Slice": _slice,
    "Transpose": _transpose, "Concat": _concat, "Split": _split, "Gather": _gather, "Where": _where,
})


def operator_model(number: int, seed: int) -> tuple[str, bytes]:
    """(operator, model): operators take turns, everything else is drawn. Input x, output y, float32."""
    names = tuple(BUILDERS)
    name = names[number % len(names)]
    draw = Draw(np.random.default_rng((seed, number)), [], [])
    shape = BUILDERS[name](draw)
    draw.nodes[-1].output[0] = "y"
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(draw.nodes, "operator", ends[:1], ends[1:], draw.known)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return name, model.SerializeToString()
