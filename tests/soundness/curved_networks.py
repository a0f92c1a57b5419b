"""Seeded small networks with curves, products and steps, and properties whose truth is known as far as a search finds
it.

Nothing enumerates such networks, so a property is posed just above or just below the least value that samples, corners
and gradient descent find. `unsafe` is a point whose value, evaluated exactly (`precise`), lies strictly inside the
unsafe set: `unsat` is wrong then, whatever rounding does. Where there is none the property probably holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from tests.soundness.operator_networks import network
from tests.soundness.precise import PreciseNetwork, Undefined
from tests.soundness.random_networks import Builder
from verify.graph import Graph
from verify.onnx_import import from_bytes
from verify.query import Case, Disjunct, InputBox, LinearConstraint, Spec
from verify.sets import entries

OPSET = 20
STRICTLY = Fraction(1, 10**9)
"""Unsafe points are inside by this much, relative to the constant."""
SAMPLES, STARTS, STEPS = 400, 8, 25
Build = Callable[[Builder], tuple[str, int]]


def _dense(b: Builder, x: str, i: int, o: int) -> str:
    """Moderate weights, so that curves bend on the way."""
    w = b.draw(i, o) * np.float32(1 / max(i, 1) ** 0.5)
    return b.add("Add", b.add("MatMul", x, b.constant(w.astype(np.float32))), b.constant(0.5 * b.draw(o)))


def _stem(b: Builder, o: int, activation: str | None = None) -> str:
    x = _dense(b, "x", b.input_shape[1], o)
    return x if activation is None else b.add(activation, x)


def smooth(b: Builder) -> tuple[str, int]:
    """Two layers of one activation function."""
    act = str(b.rng.choice(["Sigmoid", "Tanh", "Gelu", "Mish", "Softplus", "Elu", "Selu", "Erf", "Sin", "Cos", "Atan",
                            "HardSwish", "Softsign", "Celu"]))
    x = b.add(act, _stem(b, 4))
    return _dense(b, b.add(act, _dense(b, x, 4, 3)), 3, 2), 2


def silu(b: Builder) -> tuple[str, int]:
    """x sigmoid(x) as exporters write it."""
    x = _stem(b, 4)
    x = b.add("Mul", x, b.add("Sigmoid", x))
    return _dense(b, x, 4, 2), 2


def products(b: Builder) -> tuple[str, int]:
    left, right = _stem(b, 3, "Relu"), _stem(b, 3)
    both = b.add("Mul", left, right)
    return _dense(b, b.add("Mul", both, right), 3, 2), 2


def polynomial(b: Builder) -> tuple[str, int]:
    """Squares and cubes next to the layer itself."""
    x = _stem(b, 3)
    cube = b.add("Pow", x, b.constant(np.float32(b.rng.choice([2.0, 3.0, 4.0]))))
    return _dense(b, b.add("Sub", b.add("Mul", x, x), b.add("Add", cube, x)), 3, 2), 2


def quotient(b: Builder) -> tuple[str, int]:
    x, y = _stem(b, 3), _stem(b, 3)
    below = b.add("Add", b.add("Mul", y, y), b.constant(np.float32(b.rng.choice([0.3, 1.0]))))
    return _dense(b, b.add("Div", x, below), 3, 2), 2


def inverse(b: Builder) -> tuple[str, int]:
    """1 / x of what the box keeps away from 0."""
    x = b.add("Add", _stem(b, 3, "Abs"), b.constant(np.float32(0.2)))
    return _dense(b, b.add(str(b.rng.choice(["Reciprocal", "Log", "Sqrt"])), x), 3, 2), 2


def fractional_power(b: Builder) -> tuple[str, int]:
    x = b.add("Add", _stem(b, 3, "Softplus"), b.constant(np.float32(0.1)))
    return _dense(b, b.add("Pow", x, b.constant(np.float32(b.rng.choice([-1.5, -0.5, 0.3, 0.5, 1.5, 2.5])))), 3, 2), 2


def softmax_head(b: Builder) -> tuple[str, int]:
    x = _dense(b, _stem(b, 4, "Relu"), 4, 3)
    return b.add(str(b.rng.choice(["Softmax", "LogSoftmax"])), x, axis=1), 3


def attention(b: Builder) -> tuple[str, int]:
    """softmax(q k^T) v over two tokens of width two."""
    def tokens(x: str) -> str:
        return b.add("Reshape", x, b.constant(np.array([1, 2, 2], np.int64)))

    q, k, v = (tokens(_stem(b, 4)) for _ in range(3))
    scores = b.add("MatMul", q, b.add("Transpose", k, perm=[0, 2, 1]))
    mixed = b.add("MatMul", b.add("Softmax", scores, axis=-1), v)
    return _dense(b, b.add("Flatten", mixed), 4, 2), 2


def layer_norm(b: Builder) -> tuple[str, int]:
    x = _stem(b, 4)
    scale, bias = (b.constant(b.draw(4)) for _ in range(2))
    x = b.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=float(b.rng.choice([1e-5, 1e-2])))
    return _dense(b, b.relu(x), 4, 2), 2


def norms(b: Builder) -> tuple[str, int]:
    """Lengths and log-sum-exp."""
    x = _stem(b, 4)
    kind = str(b.rng.choice(["ReduceL2", "ReduceLogSumExp", "ReduceProd", "ReduceSumSquare"]))
    y = b.add(kind, x, b.constant(np.array([1], np.int64)), keepdims=1)
    return b.add("Concat", _dense(b, y, 1, 1), b.add("Sub", y, _dense(b, x, 4, 1)), axis=1), 2


def exponentials(b: Builder) -> tuple[str, int]:
    x = b.add("Exp", b.add("Mul", _stem(b, 3), b.constant(np.float32(0.7))))
    y = b.add(str(b.rng.choice(["Sinh", "Cosh", "Asinh"])), _stem(b, 3))
    return _dense(b, b.add("Sub", x, y), 3, 2), 2


def steps(b: Builder) -> tuple[str, int]:
    x = b.add(str(b.rng.choice(["Floor", "Ceil", "Round", "Sign"])), _stem(b, 3))
    return _dense(b, b.add("Add", x, _stem(b, 3)), 3, 2), 2


def branches(b: Builder) -> tuple[str, int]:
    """One of two values, by a comparison."""
    x = _stem(b, 3)
    mask = b.add(str(b.rng.choice(["Greater", "LessOrEqual"])), _stem(b, 3), b.constant(np.float32(0.1)))
    return _dense(b, b.add("Where", mask, x, _stem(b, 3, "Tanh")), 3, 2), 2


def limits(b: Builder) -> tuple[str, int]:
    """Clip between values of the network."""
    x, low = _stem(b, 3), b.add("ReduceMean", _stem(b, 3), keepdims=0)
    high = b.add("Add", low, b.constant(np.float32(0.5)))
    return _dense(b, b.add("Clip", x, low, high), 3, 2), 2


def recurrent(b: Builder) -> tuple[str, int]:
    """Two steps of an LSTM or a GRU."""
    kind, gates = (("LSTM", 4), ("GRU", 3))[b.rng.integers(2)]
    x = b.add("Reshape", _stem(b, 4), b.constant(np.array([2, 1, 2], np.int64)))
    w, r = (b.constant(b.draw(1, gates * 2, 2)) for _ in range(2))
    state = b.several(kind, 2, x, w, r, hidden_size=2)[1]
    return _dense(b, b.add("Reshape", state, b.constant(np.array([1, 2], np.int64))), 2, 2), 2


STEPPED = (steps, branches)
RATIONAL = (products, polynomial, quotient)
DECLARED = (products, silu, attention, limits, recurrent)
"""Of operators whose float32 accuracy is declared."""
CURVED: MappingProxyType[str, Build] = MappingProxyType({build.__name__: build for build in (
    smooth, silu, *RATIONAL, inverse, fractional_power, softmax_head, attention, layer_norm, norms, exponentials,
    *STEPPED, limits, recurrent)})
KINDS = (*CURVED, "drawn", "drawn")
"""`drawn`: a network of `operator_networks`."""


def curved_model(kind: str, rng: np.random.Generator, inputs: int) -> bytes:
    """A network of one of the kinds that have a name of their own."""
    builder = Builder(rng, (1, inputs))
    return builder.model(*CURVED[kind](builder), OPSET)


@dataclass(frozen=True, eq=False)
class CurvedProblem:
    """`unsafe`: an input strictly inside the unsafe set, None where the search found none. `jumps`: it has steps."""

    seed: int
    kind: str
    onnx: bytes
    exact: PreciseNetwork
    spec: Spec
    unsafe: list[Fraction] | None
    jumps: bool


def _limits_of(rng: np.random.Generator, inputs: int) -> InputBox:
    center = rng.uniform(-1, 1, inputs).astype(np.float32)
    radius = rng.choice([0.05, 0.25, 0.5, 1.0], inputs).astype(np.float32)
    radius[rng.permutation(inputs)[3:]] = 0.0
    return InputBox.from_floats((center - radius).astype(np.float32), (center + radius).astype(np.float32))


def _worst_points(graph: Graph, box: InputBox, rows: list[tuple[np.ndarray, np.ndarray, Fraction]],
                  generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points (k, i) of float32 numbers and max_r h_r there, the least of them among the last: samples, then descent."""
    shape = graph.input.shape
    low, high = (torch.from_numpy(side.copy()) for side in (box.lower, box.upper))
    share = torch.rand(SAMPLES, low.numel(), generator=generator, dtype=torch.float64)
    share[::3] = share[::3].round()
    c, d = (torch.from_numpy(np.stack([row[k] for row in rows])) for k in (0, 1))
    constants = torch.tensor([float(row[2]) for row in rows], dtype=torch.float64)

    def inside(x: Tensor) -> Tensor:
        return x.float().double().maximum(low).minimum(high)

    def value(x: Tensor) -> Tensor:
        y = entries(graph.evaluate(x.reshape(-1, *shape)), 1)
        return (y @ c.T + x @ d.T + constants).amax(1)

    x = inside(low + share * (high - low))
    points, values = [x], [value(x).nan_to_num(nan=torch.inf)]
    x = x[values[0].argsort()[:STARTS]]
    for step in range(STEPS):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            total = value(x).sum()
            gradient = torch.autograd.grad(total, x)[0] if total.requires_grad else torch.zeros_like(x)
        move = 0.5 * 0.75**step * (high - low) * gradient.nan_to_num(nan=0.0).sign()
        x = inside(x.detach() - move)
        points.append(x)
        values.append(value(x).detach().nan_to_num(nan=torch.inf))
    return torch.cat(points), torch.cat(values)


def _decimal(value: float) -> Fraction:
    return Fraction(round(value * 10**6), 10**6)


def _disjunct(rng: np.random.Generator, graph: Graph, box: InputBox, outputs: int, generator: torch.Generator
              ) -> tuple[Disjunct, Tensor]:
    """One or two rows with their constants at the least value found, plus or minus a margin; and where that is."""
    inputs, rows = box.lower.size, []
    for _ in range(int(rng.choice([1, 1, 1, 2]))):
        c = np.zeros(outputs)
        c[rng.permutation(outputs)[: int(rng.integers(1, 3))]] = rng.choice([-1.0, 1.0, 0.5, -2.0])
        d = np.zeros(inputs)
        if rng.random() < 0.15:
            d[rng.integers(inputs)] = 0.5
        rows.append((c, d, Fraction(0)))
    points, values = _worst_points(graph, box, rows, generator)
    finite = values[torch.isfinite(values)]
    least, spread = (float(finite.min()), float(finite[:SAMPLES].max() - finite.min())) if len(finite) else (0.0, 1.0)
    margin = max(spread, 1e-3) * float(rng.choice([-0.3, -0.1, -0.02, -1e-3, 1e-3, 0.02, 0.1, 0.3, 1.0]))
    shift = _decimal(margin - least)
    disjunct = tuple(LinearConstraint(tuple((int(k), Fraction(c[k])) for k in np.flatnonzero(c)), shift,
                                      tuple((int(k), Fraction(d[k])) for k in np.flatnonzero(d))) for c, d, _ in rows)
    return disjunct, points[values.argmin()]


def strictly_unsafe(network: PreciseNetwork, disjunct: Disjunct, x: list[Fraction], by: Fraction = STRICTLY) -> bool:
    """Whether every row is violated by more than `by` (relative; negative: missed by less), evaluated exactly."""
    try:
        y = network.evaluate(x)
    except Undefined:
        return False
    return all(h.value(x, y) < -by * max(1, abs(h.constant)) for h in disjunct)


def pose(seed: int, rng: np.random.Generator, kind: str, data: bytes, box: InputBox | None = None) -> CurvedProblem:
    """A property of one box for the network `data`."""
    graph = from_bytes(data).graph
    exact, generator = PreciseNetwork.of(graph), torch.Generator().manual_seed(seed)
    inputs, outputs = int(np.prod(graph.input.shape)), int(np.prod(graph[graph.output].shape))
    box = box or _limits_of(rng, inputs)
    disjuncts, unsafe = [], None
    for _ in range(int(rng.choice([1, 1, 2]))):
        disjunct, point = _disjunct(rng, graph, box, outputs, generator)
        disjuncts.append(disjunct)
        x = [Fraction(v) for v in point.tolist()]
        if unsafe is None and strictly_unsafe(exact, disjunct, x):
            unsafe = x
    jumps = any(type(node.op).__name__ in ("Floor", "Ceil", "Round", "Sign", "Positive") for node in graph.nodes)
    return CurvedProblem(seed, kind, data, exact, Spec(inputs, outputs, (Case(box, tuple(disjuncts)),), "curved"),
                         unsafe, jumps)


def curved_problem(seed: int) -> CurvedProblem:
    """The problem of a seed; kinds take turns."""
    rng, kind = np.random.default_rng((seed, 77)), KINDS[seed % len(KINDS)]
    if kind == "drawn":
        drawn = network((seed, 77), most=6)
        varying = np.zeros(drawn.lower.size, bool)
        varying[rng.permutation(drawn.lower.size)[:4]] = True
        low, high = (side.reshape(-1) for side in (drawn.lower, drawn.upper))
        middle = ((low + high) / 2).astype(np.float32)
        box = InputBox.from_floats(np.where(varying, low, middle), np.where(varying, high, middle))
        return pose(seed, rng, kind, drawn.onnx, box)
    return pose(seed, rng, kind, curved_model(kind, rng, int(rng.integers(1, 4))))
