"""Ground truth for small piecewise linear networks: is the unsafe set empty? Decided in exact arithmetic.

The box of the varying inputs is cut along the hyperplanes where a neuron changes its phase; on each piece the network
is one affine map, and the piece is cut further by the constraints of a disjunct. What is left is empty or has a
vertex. Every number is an integer over a power of two (float weights are dyadic), so nothing is ever rounded.

Pieces are kept as vertex lists (double description, Motzkin et al. 1953): cutting keeps the vertices on the right
side and adds one point on each edge that crosses; two vertices share an edge if no third one lies on all the
constraints that both lie on (Fukuda & Prodon 1996). Exponential in principle, quick for three inputs and ten neurons.

Shares no code with the verifier but the graph of primitives, whose matrices are read off by `pull_back` of unit rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from verify.graph import Graph, Node
from verify.ops import Input, Relu
from verify.query import Case, Disjunct, LinearConstraint, Spec

Vertex = tuple[tuple[int, ...], int]
"""Homogeneous integer coordinates (x_1 .. x_d, w), w > 0, and the bit set of constraints that hold with equality."""


@dataclass(frozen=True, eq=False)
class Polytope:
    """The convex hull of `vertices`; `constraints` counts the bits in use."""

    vertices: tuple[Vertex, ...]
    constraints: int

    @classmethod
    def box(cls, lower: list[Fraction], upper: list[Fraction]) -> Polytope:
        """Every lower < upper."""
        vertices = []
        for sides in itertools.product((0, 1), repeat=len(lower)):
            point = [(lower, upper)[side][j] for j, side in enumerate(sides)]
            w = math.lcm(1, *(p.denominator for p in point))
            mask = sum(1 << (2 * j + side) for j, side in enumerate(sides))
            vertices.append(((*(int(p * w) for p in point), w), mask))
        return cls(tuple(vertices), 2 * len(lower))

    def signs(self, row: np.ndarray) -> list[int]:
        """row . (x, 1) at the vertices, times a positive number; `row` has integers (d + 1,)."""
        return [sum(int(a) * b for a, b in zip(row, v, strict=True)) for v, _ in self.vertices]

    def cut(self, row: np.ndarray) -> Polytope:
        """The part where row . (x, 1) >= 0; without vertices when empty."""
        values = self.signs(row)
        if min(values, default=0) >= 0:
            return self
        bit = 1 << self.constraints
        pairs = zip(self.vertices, values, strict=True)
        kept = [(v, mask | bit if s == 0 else mask) for (v, mask), s in pairs if s >= 0]
        inside = [(k, s) for k, s in enumerate(values) if s > 0]
        outside = [(k, s) for k, s in enumerate(values) if s < 0]
        for (i, si), (o, so) in itertools.product(inside, outside):
            common = self.vertices[i][1] & self.vertices[o][1]
            if self._is_edge(i, o, common):
                point = [si * b - so * a for a, b in zip(self.vertices[i][0], self.vertices[o][0], strict=True)]
                divisor = math.gcd(*point)
                kept.append((tuple(p // divisor for p in point), common | bit))
        return Polytope(tuple(kept), self.constraints + 1)

    def _is_edge(self, i: int, o: int, common: int) -> bool:
        return not any(k not in (i, o) and mask & common == common for k, (_, mask) in enumerate(self.vertices))

    def center(self) -> list[Fraction]:
        """The mean of the vertices."""
        points = [[Fraction(c, v[-1]) for c in v[:-1]] for v, _ in self.vertices]
        return [sum(column) / len(points) for column in zip(*points, strict=True)]


@dataclass(frozen=True, eq=False)
class Dyadic:
    """`numbers` (object array of int) / 2 ** `exponent`."""

    numbers: np.ndarray
    exponent: int

    @classmethod
    def of(cls, floats: np.ndarray) -> Dyadic:
        ratios = [float(f).as_integer_ratio() for f in np.asarray(floats).reshape(-1)]
        exponent = max((d.bit_length() - 1 for _, d in ratios), default=0)
        numbers = np.empty(len(ratios), dtype=object)
        numbers[:] = [n << (exponent - d.bit_length() + 1) for n, d in ratios]
        return cls(numbers.reshape(np.shape(floats)), exponent)

    def at(self, exponent: int) -> np.ndarray:
        """The numbers over another, larger power of two."""
        return self.numbers * (1 << (exponent - self.exponent))


def add(parts: list[Dyadic]) -> Dyadic:
    exponent = max(part.exponent for part in parts)
    return Dyadic(sum(part.at(exponent) for part in parts), exponent)


@dataclass(frozen=True, eq=False)
class ExactLinear:
    """A linear node: y = sum_k W_k x_k + b. `weights`: per input, per output row, the (columns, dyadic entries)."""

    weights: tuple[tuple[tuple[np.ndarray, Dyadic], ...], ...]
    offset: Dyadic

    @classmethod
    def of(cls, graph: Graph, node: Node) -> ExactLinear:
        size, shapes = math.prod(node.shape), graph.input_shapes(node)
        rows = torch.eye(size, dtype=graph.dtype).reshape(1, size, *node.shape)
        weights = []
        for part in node.op.pull_back(rows, shapes):
            matrix = part.expand(1, size, *part.shape[2:]).reshape(size, -1).double().numpy()
            weights.append(tuple((k := np.flatnonzero(row), Dyadic.of(row[k])) for row in matrix))
        offset = node.op.offset()
        flat = torch.zeros(size) if offset is None else offset.expand(1, *node.shape).reshape(size)
        return cls(tuple(weights), Dyadic.of(flat.double().numpy()))

    def apply(self, inputs: list[Dyadic], columns: int) -> Dyadic:
        """Inputs (i_k, columns) -> (o, columns); the offset goes to the last column."""
        shift = np.zeros((self.offset.numbers.size, columns), dtype=object)
        shift[:, -1] = self.offset.numbers
        parts = [Dyadic(shift, self.offset.exponent)]
        for rows, x in zip(self.weights, inputs, strict=True):
            top = max(w.exponent for _, w in rows)
            out = np.zeros((len(rows), columns), dtype=object)
            for o, (k, w) in enumerate(rows):
                if k.size:
                    out[o] = w.at(top) @ x.numbers[k]
            parts.append(Dyadic(out, top + x.exponent))
        return add(parts)


@dataclass(frozen=True, eq=False)
class ExactNetwork:
    """A graph of linear primitives and ReLUs with its matrices in integers."""

    graph: Graph
    linear: dict[str, ExactLinear]

    @classmethod
    def of(cls, graph: Graph) -> ExactNetwork:
        for node in graph.nodes:
            if not (node.op.linear or isinstance(node.op, Relu)):
                raise TypeError(f"{node.name}: exact enumeration needs ReLUs, not {type(node.op).__name__}")
        nodes = (node for node in graph.nodes if node.op.linear and not isinstance(node.op, Input))
        return cls(graph, {node.name: ExactLinear.of(graph, node) for node in nodes})

    def evaluate(self, x: list[Fraction]) -> list[Fraction]:
        """The outputs at a rational point."""
        w = math.lcm(1, *(v.denominator for v in x))
        values: dict[str, Dyadic] = {}
        # Everything is scaled by w, the common denominator of x, and so stays an integer.
        for node in self.graph.nodes:
            if isinstance(node.op, Input):
                values[node.name] = Dyadic(np.array([[int(v * w)] for v in x], dtype=object), 0)
            elif isinstance(node.op, Relu):
                pre = values[node.inputs[0]]
                values[node.name] = Dyadic(np.where(pre.numbers > 0, pre.numbers, 0), pre.exponent)
            else:
                linear = self.linear[node.name]
                scaled = ExactLinear(linear.weights, Dyadic(linear.offset.numbers * w, linear.offset.exponent))
                values[node.name] = scaled.apply([values[name] for name in node.inputs], 1)
        out = values[self.graph.output]
        return [Fraction(int(v), w << out.exponent) for v in out.numbers[:, -1]]

    def pieces(self, inputs: Dyadic, start: Polytope) -> Iterator[tuple[Polytope, Dyadic]]:
        """All (piece, affine output (o, d + 1) on it) of the polytope; `inputs` (i, d + 1) are the network inputs."""

        def walk(position: int, values: dict[str, Dyadic], piece: Polytope):
            for k in range(position, len(self.graph.nodes)):
                node = self.graph.nodes[k]
                if isinstance(node.op, Input):
                    values[node.name] = inputs
                elif not isinstance(node.op, Relu):
                    read = [values[name] for name in node.inputs]
                    values[node.name] = self.linear[node.name].apply(read, inputs.numbers.shape[1])
                else:
                    pre = values[node.inputs[0]]
                    for part, active in _phases(pre.numbers, piece):
                        post = Dyadic(pre.numbers * active[:, None], pre.exponent)
                        yield from walk(k + 1, {**values, node.name: post}, part)
                    return
            yield piece, values[self.graph.output]

        return walk(0, {}, start)


def _phases(rows: np.ndarray, piece: Polytope) -> Iterator[tuple[Polytope, np.ndarray]]:
    """Splits a piece so that every row of `rows` (u, d + 1) has one sign on each part: (part, active 0/1 (u,))."""
    stack = [(piece, ())]
    while stack:
        part, active = stack.pop()
        if len(active) == len(rows):
            yield part, np.array(active, dtype=object)
            continue
        row = rows[len(active)]
        values = part.signs(row)
        if max(values) > 0:
            stack.append((part.cut(row), (*active, 1)))
        if min(values) < 0 or max(values) <= 0:
            stack.append((part.cut(-row), (*active, 0)))


def _constraint_row(h: LinearConstraint, inputs: Dyadic, outputs: Dyadic) -> np.ndarray:
    """Integers (d + 1,) with the sign of h at every point of the piece."""
    exponent = max(inputs.exponent, outputs.exponent)
    x, y = inputs.at(exponent), outputs.at(exponent)
    row = np.zeros(x.shape[1], dtype=object) + Fraction(0)
    for values, terms in ((x, h.x), (y, h.y)):
        for k, c in terms:
            row = row + values[k] * c
    row[-1] += h.constant * (1 << exponent)
    scale = math.lcm(*(Fraction(v).denominator for v in row))
    return np.array([int(v * scale) for v in row], dtype=object)


def _meet(piece: Polytope, disjunct: Disjunct, inputs: Dyadic, outputs: Dyadic) -> Polytope:
    """The part of the piece inside a disjunct (no vertices: empty; strict constraints need a vertex strictly inside,
    and then, by convexity, the mean of all vertices is strictly inside all of them)."""
    rows = [_constraint_row(h, inputs, outputs) for h in disjunct]
    for row in rows:
        piece = piece.cut(-row)
    for h, row in zip(disjunct, rows, strict=True):
        if piece.vertices and h.strict and min(piece.signs(row)) >= 0:
            return Polytope((), 0)
    return piece


def find_point(network: ExactNetwork, case: Case) -> list[Fraction] | None:
    """A rational input (i,) of the case's unsafe set, or None: the set is empty."""
    box = case.box
    if (box.lower > box.upper).any():
        return None
    if (box.lower != box.inner_lower).any() or (box.upper != box.inner_upper).any():
        raise ValueError("exact enumeration needs boxes of float64 numbers")
    varying = np.flatnonzero(box.lower < box.upper)
    columns = np.zeros((box.lower.size, varying.size + 1))
    columns[:, -1] = np.where(box.lower < box.upper, 0.0, box.lower)
    columns[varying, np.arange(varying.size)] = 1.0
    inputs = Dyadic.of(columns)
    start = Polytope.box([Fraction(v) for v in box.lower[varying]], [Fraction(v) for v in box.upper[varying]])
    for piece, outputs in network.pieces(inputs, start):
        for disjunct in case.disjuncts:
            found = _meet(piece, disjunct, inputs, outputs)
            if found.vertices:
                point = [Fraction(v) for v in box.lower]
                for k, value in zip(varying, found.center(), strict=True):
                    point[k] = value
                return point
    return None


def find_unsafe(network: ExactNetwork, spec: Spec) -> list[Fraction] | None:
    """A rational input of the unsafe set of all cases together, or None: the property holds."""
    points = (find_point(network, case) for case in spec.cases)
    return next((point for point in points if point is not None), None)
