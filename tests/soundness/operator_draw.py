"""A random ONNX network in the making: every new value is evaluated at once, so that the next operator can be drawn to
fit it.

The values at a few points of the input box come from the reference implementation of the `onnx` package: they say which
domains fit (a logarithm wants positive numbers), and they are the truth that the import is held against, in float64
where the network is in double precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

LARGEST, ENTRIES = 30.0, 24
"""Values that are larger, in absolute value or in number of entries, are not used."""
Shape = tuple[int, ...]


class Unfit(Exception):
    """What was drawn does not fit; the next draw may."""


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the network; `samples` are its values at the points, `depth` counts operators above the input."""

    name: str
    samples: tuple[np.ndarray, ...]
    depth: int = 0

    @property
    def shape(self) -> Shape:
        return self.samples[0].shape

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def low(self) -> float:
        return min(float(s.min()) for s in self.samples)

    @property
    def high(self) -> float:
        return max(float(s.max()) for s in self.samples)

    @property
    def largest(self) -> float:
        return max(abs(self.low), abs(self.high))


@dataclass(eq=False)
class Draw:
    """Collects nodes and constants; methods return the values they add. `points`: where the network is evaluated."""

    rng: np.random.Generator
    opset: int
    double: bool
    nodes: list = field(default_factory=list)
    known: dict[str, np.ndarray] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)

    @property
    def dtype(self) -> type:
        return np.float64 if self.double else np.float32

    @property
    def elem(self) -> int:
        return TensorProto.DOUBLE if self.double else TensorProto.FLOAT

    def number(self, low: int, high: int) -> int:
        """An integer, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def choose(self, *options):
        return options[self.rng.integers(len(options))]

    def uniform(self, low: float, high: float) -> float:
        return float(np.float32(self.rng.uniform(low, high)))

    def normal(self, *shape: int) -> np.ndarray:
        """Float32 numbers, some of them 0."""
        return (self.rng.standard_normal(shape) * (self.rng.random(shape) > 0.1)).astype(np.float32)

    def constant(self, values: object) -> str:
        """Floats in the type of the network; int64 and bool as they are."""
        array = np.asarray(values)
        array = array.astype(self.dtype) if array.dtype.kind == "f" else array
        name = f"c{len(self.known)}"
        self.known[name] = array
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def axes(self, shape: Shape, least: int = 1) -> list[int]:
        """Some axes, in order, the first one (the batch) rarely among them."""
        first = 0 if len(shape) == 1 or self.chance(0.1) else 1
        axes = list(range(first, len(shape)))
        count = self.number(min(least, len(axes)), len(axes))
        return sorted(self.rng.permutation(axes)[:count].tolist())

    def several(self, operator: str, count: int, *inputs: Value | str, **attributes) -> list[Value]:
        """The outputs of a new node ("": an input that is left out). Raises `Unfit` where they are no usable
        numbers."""
        named = [x if isinstance(x, str) else x.name for x in inputs]
        names = [f"v{len(self.nodes)}_{k}" for k in range(count)]
        node = helper.make_node(operator, named, names, name=f"{operator}-{len(self.nodes)}", **attributes)
        sources = [x for x in inputs if isinstance(x, Value)]
        samples = _evaluated(node, sources, self.known, self.opset)
        depth = 1 + max((x.depth for x in sources), default=0)
        found = [Value(name, tuple(np.asarray(s[k]) for s in samples), depth) for k, name in enumerate(names)]
        for value in found:
            if value.size == 0 or value.size > 8 * ENTRIES or not np.isfinite(value.largest):
                raise Unfit(operator)
        self.nodes.append(node)
        return found

    def add(self, operator: str, *inputs: Value | str, **attributes) -> Value:
        return self.several(operator, 1, *inputs, **attributes)[0]

    def cast(self, x: Value) -> Value:
        """To the type of the network."""
        return self.add("Cast", x, to=self.elem)

    def any(self, least_rank: int = 1) -> Value:
        """A value drawn so far, the later ones more often."""
        fitting = [v for v in self.values if len(v.shape) >= least_rank]
        if not fitting:
            return self.shaped((1, *(self.number(1, 3) for _ in range(max(least_rank, 2) - 1))))
        weights = np.arange(1, len(fitting) + 1) ** 1.5
        return fitting[self.rng.choice(len(fitting), p=weights / weights.sum())]

    def shaped(self, shape: Shape, x: Value | None = None) -> Value:
        """A value of this shape: one that has it, another one reshaped, or entries of it picked at random."""
        x = x if x is not None else self.any()
        if x.shape == shape:
            return x
        flat = self.add("Reshape", x, self.ints(-1))
        if x.size == math.prod(shape) and self.chance(0.7):
            return self.add("Reshape", flat, self.ints(*shape))
        index = self.rng.integers(0, x.size, shape)
        return self.add("Gather", flat, self.constant(index.astype(np.int64)), axis=0)

    def moved(self, x: Value, low: float, high: float) -> Value:
        """x by an affine map into (low, high), as far as its samples say; as it is if it lies there already."""
        if x.low >= low and x.high <= high:
            return x
        room, width = high - low, max(x.high - x.low, 1e-3)
        scale = min(1.0, 0.8 * room / width) * self.uniform(0.5, 1.0)
        scaled = self.add("Mul", x, self.constant(np.float32(scale))) if scale < 0.99 else x
        center = (scaled.low + scaled.high) / 2
        reach = 0.9 * max(room / 2 - (scaled.high - scaled.low) / 2, 0.0)
        target = (low + high) / 2 + self.uniform(-reach, reach)
        return self.add("Add", scaled, self.constant(np.float32(target - center)))

    def tame(self, x: Value, limit: float) -> Value:
        """x scaled into [-limit, limit], if it is larger."""
        return x if x.largest <= limit else self.add("Mul", x, self.constant(np.float32(limit / x.largest)))

    def positive(self, x: Value) -> Value:
        """A positive value made of x, in one of the ways of networks: mostly where x goes, too, rarely only here."""
        way = self.number(0, 5)
        if way == 0:
            return self.moved(x, 0.1, 0.1 + max(2.0, 2 * (x.high - x.low)))
        least = self.constant(np.float32(self.uniform(0.05, 1.0)))
        if way == 1:
            return self.add("Exp", self.tame(x, 3.0))
        if way == 2:
            return self.add("Softplus", x)
        base = (self.add("Abs", x) if way == 3 else self.add("Sigmoid", x) if way == 4 else
                self.add("Mul", self.tame(x, 4.0), self.tame(x, 4.0)))
        return self.add("Add", base, least)

    def model(self, output: str, shape: Shape) -> bytes:
        """The nodes that `output` depends on, as a model from x to it."""
        needed, kept = {output}, []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed |= set(node.input)
                kept.append(node)
        x = self.values[0]
        known = [numpy_helper.from_array(v, name) for name, v in self.known.items() if name in needed]
        graph = helper.make_graph(kept[::-1], "drawn", [helper.make_tensor_value_info(x.name, self.elem, x.shape)],
                                  [helper.make_tensor_value_info(output, self.elem, shape)], known)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)],
                                  ir_version=10 if self.opset > 20 else 8)
        return model.SerializeToString()

    def mark(self) -> tuple[int, set[str]]:
        return len(self.nodes), set(self.known)

    def back_to(self, mark: tuple[int, set[str]]) -> None:
        """Forgets the nodes and constants since the mark."""
        del self.nodes[mark[0]:]
        self.known = {name: v for name, v in self.known.items() if name in mark[1]}


def begin(rng: np.random.Generator, shape: Shape, opset: int, double: bool, points: int = 6,
          radius: float | None = None) -> tuple[Draw, np.ndarray, np.ndarray]:
    """A draw whose only value is the input, at its centre, two corners and random points of a box; and the box."""
    draw = Draw(rng, opset, double)
    center = rng.standard_normal(shape).astype(np.float32)
    radius = radius or float(rng.choice([0.1, 0.3, 1.0]))
    lower, upper = (center - np.float32(radius)), (center + np.float32(radius))
    shares = [np.full(shape, 0.5), np.zeros(shape), np.ones(shape), *(rng.random(shape) for _ in range(points - 3))]
    samples = tuple((lower + s * (upper - lower)).astype(np.float32).astype(draw.dtype) for s in shares)
    draw.values.append(Value("x", samples))
    return draw, lower, upper


def _evaluated(node: onnx.NodeProto, sources: list[Value], known: dict[str, np.ndarray], opset: int
               ) -> list[list[np.ndarray]]:
    """The outputs of one node at every point."""
    used = {name: known[name] for name in node.input if name in known}
    given = {v.name: v for v in sources}
    ends = [helper.make_tensor_value_info(v.name, helper.np_dtype_to_tensor_dtype(v.samples[0].dtype), v.shape)
            for v in given.values()]
    graph = helper.make_graph([node], "one", ends, [helper.make_value_info(name, onnx.TypeProto()) for name in
                                                    node.output],
                              [numpy_helper.from_array(v, name) for name, v in used.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    try:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        evaluator = ReferenceEvaluator(model)
        count = len(sources[0].samples) if sources else 1
        with np.errstate(all="ignore"):
            return [evaluator.run(None, {name: v.samples[k] for name, v in given.items()}) for k in range(count)]
    except (ValueError, TypeError, RuntimeError, IndexError, NotImplementedError) as error:
        raise Unfit(f"{node.op_type}: {error}") from error
