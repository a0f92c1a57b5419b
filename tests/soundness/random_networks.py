"""Seeded small networks of many kinds, as ONNX models, with specs whose truth is decided exactly.

Every network has at most three varying inputs and about ten ReLUs after import. Thresholds are drawn around the
smallest sampled value, so that about half of the properties fail; a draw whose truth changes when its constraints move
by `MARGIN` (relative) is thrown away, because float32 replay and exact reals may then rightly disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.soundness.exact import ExactNetwork, find_unsafe
from verify.graph import Graph
from verify.onnx_import import from_bytes
from verify.query import Case, InputBox, LinearConstraint, Spec

MARGIN = Fraction(1, 2000)


class Builder:
    """Collects the nodes and weights of one ONNX model; every method returns the name of its output."""

    def __init__(self, rng: np.random.Generator, input_shape: tuple[int, ...]) -> None:
        self.rng, self.input_shape = rng, input_shape
        self.nodes, self.weights = [], []

    def constant(self, values) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"{operator}_{name}", **attributes))
        return name

    def several(self, operator: str, count: int, *inputs: str, **attributes) -> list[str]:
        names = [f"n{len(self.nodes)}_{k}" for k in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=f"{operator}_{names[0]}", **attributes))
        return names

    def draw(self, *shape: int) -> np.ndarray:
        """Weights: float32 normals, or small multiples of 1/4 with many ties and zeros."""
        values = self.rng.standard_normal(shape)
        return (values if self.rng.random() < 0.6 else np.round(2 * values) / 4).astype(np.float32)

    def dense(self, x: str, i: int, o: int) -> str:
        """A fully connected layer in one of its three spellings."""
        w, b = self.draw(i, o), 0.5 * self.draw(o)
        kind = self.rng.integers(3)
        if kind == 0:
            return self.add("Gemm", x, self.constant(w.T.copy()), self.constant(b), transB=1)
        if kind == 1:
            return self.add("Gemm", x, self.constant(w), self.constant(b))
        return self.add("Add", self.add("MatMul", x, self.constant(w)), self.constant(b))

    def relu(self, x: str) -> str:
        return self.add("Relu", x)

    def conv(self, x: str, i: int, o: int, kernel: int, **attributes) -> str:
        w, b = self.draw(o, i, kernel, kernel), 0.5 * self.draw(o)
        return self.add("Conv", x, self.constant(w), self.constant(b), kernel_shape=[kernel, kernel], **attributes)

    def model(self, output: str, size: int, opset: int = 13) -> bytes:
        graph = helper.make_graph(
            self.nodes, "random", [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(self.input_shape))],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, size])], self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 8
        return model.SerializeToString()


def mlp(b: Builder) -> tuple[str, int]:
    hidden = b.relu(b.dense("x", b.input_shape[1], 5))
    return b.dense(b.relu(b.dense(hidden, 5, 4)), 4, 3), 3


def deep(b: Builder) -> tuple[str, int]:
    x = b.relu(b.dense("x", b.input_shape[1], 3))
    for _ in range(2):
        x = b.relu(b.dense(x, 3, 3))
    return b.dense(x, 3, 2), 2


def residual(b: Builder) -> tuple[str, int]:
    stem = b.relu(b.dense("x", b.input_shape[1], 4))
    block = b.add("Add", b.relu(b.dense(stem, 4, 4)), stem)
    skip = b.add("Sub", b.dense(block, 4, 3), b.dense("x", b.input_shape[1], 3))
    return skip, 3


def leaky(b: Builder) -> tuple[str, int]:
    x = b.add("LeakyRelu", b.dense("x", b.input_shape[1], 4), alpha=float(b.rng.choice([0.01, 0.1, 0.25])))
    return b.dense(b.add("LeakyRelu", b.dense(x, 4, 4), alpha=0.1), 4, 2), 2


def clip(b: Builder) -> tuple[str, int]:
    low, high = b.constant(np.float32(-0.5)), b.constant(np.float32(1.0))
    x = b.add("Clip", b.dense("x", b.input_shape[1], 4), low, high)
    return b.dense(x, 4, 2), 2


def concat_gather(b: Builder) -> tuple[str, int]:
    left, right = b.relu(b.dense("x", b.input_shape[1], 3)), b.relu(b.dense("x", b.input_shape[1], 3))
    both = b.add("Concat", left, right, axis=1)
    picked = b.add("Gather", both, b.constant(np.array([4, 1, 0, 4, 2], dtype=np.int64)), axis=1)
    head, tail = b.several("Split", 2, picked, b.constant(np.array([2, 3], dtype=np.int64)), axis=1)
    return b.add("Concat", b.dense(tail, 3, 2), b.relu(b.dense(head, 2, 2)), axis=1), 4


def scaled(b: Builder) -> tuple[str, int]:
    x = b.add("Sub", "x", b.constant(b.draw(b.input_shape[1])))
    x = b.add("Div", x, b.constant(np.float32(0.7) + np.abs(b.draw(b.input_shape[1]))))
    x = b.relu(b.dense(x, b.input_shape[1], 6))
    return b.dense(b.add("Mul", x, b.constant(b.draw(6))), 6, 2), 2


def sums(b: Builder) -> tuple[str, int]:
    x = b.relu(b.dense("x", b.input_shape[1], 6))
    mean = b.add("ReduceMean", x, axes=[1], keepdims=1)
    return b.add("Concat", b.dense(x, 6, 2), mean, axis=1), 3


def maximum(b: Builder) -> tuple[str, int]:
    x = b.add("Max", b.dense("x", b.input_shape[1], 3), b.dense("x", b.input_shape[1], 3))
    return b.dense(b.relu(b.dense(x, 3, 3)), 3, 2), 2


def degenerate(b: Builder) -> tuple[str, int]:
    """Twin neurons, dead ones, always active ones, neurons whose border is a corner of the box, zero rows."""
    w = b.draw(b.input_shape[1], 7)
    w[:, 1], w[:, 2] = w[:, 0], 0.0
    bias = 0.5 * b.draw(7)
    bias[1], bias[3], bias[4] = bias[0], -100.0, 100.0
    bias[5], bias[6] = -np.abs(w[:, 5]).sum(), 0.0
    x = b.relu(b.add("Gemm", "x", b.constant(w), b.constant(bias)))
    return b.dense(b.relu(b.dense(x, 7, 3)), 3, 2), 2


def graft(b: Builder, x: str, shape: tuple[int, ...]) -> str:
    """relu(z keep) + z s + t: about half of the neurons are lines, per neuron or, in images, per channel."""
    shape = shape if b.rng.random() < 0.7 else (shape[0], *(1 for _ in shape[1:]))
    keep = (b.rng.random(shape) < 0.5).astype(np.float32)
    slope, intercept = ((1 - keep) * b.draw(*shape) for _ in range(2))
    active = b.relu(b.add("Mul", x, b.constant(keep)))
    line = b.add("Mul", x, b.constant(slope.astype(np.float32)))
    return b.add("Add", active, b.add("Add", line, b.constant(intercept.astype(np.float32))))


def grafted(b: Builder) -> tuple[str, int]:
    x = graft(b, b.dense("x", b.input_shape[1], 6), (6,))
    return b.dense(graft(b, b.dense(x, 6, 4), (4,)), 4, 3), 3


def affine(b: Builder) -> tuple[str, int]:
    return b.dense(b.dense("x", b.input_shape[1], 4), 4, 3), 3


def conv(b: Builder) -> tuple[str, int]:
    x = b.relu(b.conv("x", 1, 2, 2))
    x = b.add("Flatten", x)
    return b.dense(x, 8, 2), 2


def conv_strided(b: Builder) -> tuple[str, int]:
    x = b.relu(b.conv("x", 1, 2, 3, strides=[2, 2], pads=[1, 1, 1, 1]))
    x = b.add("Reshape", x, b.constant(np.array([1, -1], dtype=np.int64)))
    return b.dense(x, 8, 2), 2


def conv_batch_norm(b: Builder) -> tuple[str, int]:
    x = b.conv("x", 1, 2, 2)
    scale, variance = np.abs(b.draw(2)) + np.float32(0.5), np.abs(b.draw(2)) + np.float32(0.5)
    parts = [b.constant(v.astype(np.float32)) for v in (scale, b.draw(2), b.draw(2), variance)]
    x = b.add("Flatten", b.relu(b.add("BatchNormalization", x, *parts)))
    return b.dense(x, 8, 2), 2


def conv_grafted(b: Builder) -> tuple[str, int]:
    x = graft(b, b.conv("x", 1, 2, 2), (2, 2, 2))
    return b.dense(b.add("Flatten", x), 8, 2), 2


def max_pool(b: Builder) -> tuple[str, int]:
    x = b.add("MaxPool", b.conv("x", 1, 1, 2, pads=[1, 1, 0, 0]), kernel_shape=[2, 2], strides=[1, 2])
    return b.dense(b.add("Flatten", x), 2, 2), 2


def average_pool(b: Builder) -> tuple[str, int]:
    x = b.relu(b.conv("x", 1, 2, 2))
    x = b.add("GlobalAveragePool", x) if b.rng.random() < 0.5 else b.add("AveragePool", x, kernel_shape=[2, 2])
    return b.dense(b.relu(b.dense(b.add("Flatten", x), 2, 2)), 2, 2), 2


FLAT = (mlp, deep, residual, leaky, clip, concat_gather, scaled, sums, maximum, degenerate, grafted, affine)
IMAGES = (conv, conv_strided, conv_batch_norm, conv_grafted, max_pool, average_pool)
KINDS: MappingProxyType[str, Callable[[Builder], tuple[str, int]]] = MappingProxyType(
    {build.__name__: build for build in (*FLAT, *IMAGES)}
)


@dataclass(frozen=True, eq=False)
class Problem:
    """A network, its spec and the truth: `unsafe` is a rational input of the unsafe set, None when it is empty."""

    seed: int
    kind: str
    onnx: bytes
    exact: ExactNetwork
    spec: Spec
    unsafe: list[Fraction] | None


def _box(rng: np.random.Generator, inputs: int) -> InputBox:
    """At most three inputs vary, sometimes fewer; limits are float32 numbers."""
    center = rng.uniform(-1, 1, inputs).astype(np.float32)
    radius = rng.choice([0.25, 0.5, 1.0], inputs).astype(np.float32)
    fixed = rng.permutation(inputs)[int(rng.choice([1, 2, 3, 3, 3])) :]
    radius[fixed] = 0.0
    return InputBox.from_floats((center - radius).astype(np.float32), (center + radius).astype(np.float32))


def _points(rng: np.random.Generator, box: InputBox, count: int) -> np.ndarray:
    uniform = rng.random((count, box.lower.size))
    corners = rng.integers(0, 2, (count // 2, box.lower.size))
    return (box.lower + np.concatenate([uniform, corners]) * (box.upper - box.lower)).astype(np.float32)


def _decimal(value: float) -> Fraction:
    return Fraction(round(value * 10**4), 10**4)


def _disjunct(rng, x: np.ndarray, y: np.ndarray, sizes: tuple[int, int], holds: bool) -> tuple[LinearConstraint, ...]:
    """One to three rows; their constants put the smallest sampled max_r h_r a little above 0 (it probably `holds`) or
    anywhere near 0."""
    inputs, outputs = sizes
    rows = []
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        c = np.zeros(outputs)
        c[rng.permutation(outputs)[: int(rng.integers(1, 3))]] = rng.choice([-1.0, 1.0, -0.5, 2.0], 1)
        if np.count_nonzero(c) == 2 and rng.random() < 0.7:
            c[np.flatnonzero(c)[0]] *= -1
        d = np.zeros(inputs)
        if rng.random() < 0.15:
            d[rng.integers(inputs)] = 0.5
        rows.append((c, d))
    h = np.stack([y @ c + x @ d for c, d in rows], 1)
    h = h - h[rng.integers(len(h))]
    least, spread = h.max(1).min(), max(float(np.ptp(h)), 0.1)
    away = [0.05, 0.1, 0.2, 0.5] if holds else [-0.3, -0.1, -0.03, -0.01, 0.02, 0.05, 0.15, 0.4]
    shift = spread * float(rng.choice(away)) - least
    first = np.stack([y @ c + x @ d for c, d in rows], 1) - h
    return tuple(
        LinearConstraint(
            tuple((int(k), _decimal(c[k])) for k in np.flatnonzero(c)), _decimal(shift - first[0, r]),
            tuple((int(k), _decimal(d[k])) for k in np.flatnonzero(d)),
        )
        for r, (c, d) in enumerate(rows)
    )


def moved(spec: Spec, by: Fraction) -> Spec:
    """Every constraint moved by `by`, relative to its constant (at least to 1)."""

    def move(h: LinearConstraint) -> LinearConstraint:
        return replace(h, constant=h.constant + by * max(1, abs(h.constant)))

    cases = (Case(case.box, tuple(tuple(map(move, d)) for d in case.disjuncts)) for case in spec.cases)
    return replace(spec, cases=tuple(cases))


def _spec(rng: np.random.Generator, graph: Graph) -> Spec:
    shape = graph.input.shape
    inputs, outputs = int(np.prod(shape)), int(np.prod(graph[graph.output].shape))
    cases, holds = [], bool(rng.random() < 0.4)
    for _ in range(int(rng.choice([1, 1, 1, 2]))):
        box = _box(rng, inputs)
        x = _points(rng, box, 60)
        y = graph.evaluate(torch.from_numpy(x).double().reshape(-1, *shape)).flatten(1).numpy()
        count = int(rng.choice([1, 1, 2, 3]))
        cases.append(Case(box, tuple(_disjunct(rng, x, y, (inputs, outputs), holds) for _ in range(count))))
    return Spec(inputs, outputs, tuple(cases), "random")


def pose(seed: int, rng: np.random.Generator, kind: str, data: bytes) -> Problem:
    """A property for the network `data`; unclear draws are replaced by the next one of `rng`."""
    graph = from_bytes(data).graph
    exact = ExactNetwork.of(graph)
    while True:
        spec = _spec(rng, graph)
        near, far = (find_unsafe(exact, moved(spec, by)) for by in (-MARGIN, MARGIN))
        if (near is None) == (far is None):
            return Problem(seed, kind, data, exact, spec, far)


def problem(seed: int) -> Problem:
    """The problem of a seed; kinds take turns."""
    rng = np.random.default_rng(seed)
    build = tuple(KINDS.values())[seed % len(KINDS)]
    shape = (1, 1, 3, 3) if build in IMAGES else (1, int(rng.integers(1, 6)))
    builder = Builder(rng, shape)
    return pose(seed, rng, build.__name__, builder.model(*build(builder)))
