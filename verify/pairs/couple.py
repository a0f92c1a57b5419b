"""Two networks of one structure as one graph, in which the second one is given by its distance from the first.

For a value v of the first network and its partner v' of the second one, d = v - v':

    y = W v + b, y' = W' v' + b':   y - y' = W' d + (W - W') v + (b - b')
    y = h(v),    y' = h(v'):        y - y' = Difference(h)(v, d)
    y = u v,     y' = u' v':        y - y' = u d_v + d_u (v - d_v)

so that what the networks share cancels before any relaxation. The output is (y, y'), flat, with y' = y - d: in a row
that subtracts them y cancels without rounding. Source: ReluDiff (Paulsen et al. 2020).
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from verify.errors import BrokenInvariant, ShapeMismatch
from verify.graph import Graph, Node, Shape
from verify.ops import Add, Affine, Concat, Constant, Conv, ConvTranspose, Gather, Input, Linear, Product, Reshape
from verify.ops.base import LinearOp, Op
from verify.ops.difference import Change, Difference, has_slopes
from verify.pairs.tie import SHARED, Tie

WEIGHTED = (Affine, Constant, Conv, ConvTranspose, Linear)
"""Linear operators with numbers of their own; all others only move values or add them up."""

DIFFERENCE = "difference of "


class Unpaired(Exception):
    """The two graphs have no common structure; the message says where they part."""


def couple(first: Graph, second: Graph, tie: Tie = SHARED, exact: bool = False) -> Graph:
    """The outputs of both networks, (2 outputs,), over the tied input.

    Both graphs in float64 and not simplified (that might change them differently). `exact`: the graphs hold the numbers
    of the files; without it equal weights may be roundings of different ones. Raises `Unpaired`.
    """
    _check_sizes(first, second)
    if any(node.roundings is not None for graph in (first, second) for node in graph.nodes):
        raise BrokenInvariant("differences are bounded over the reals; merged graphs take roundings")
    if first.input.shape != second.input.shape:
        raise Unpaired(f"the inputs have the shapes {list(first.input.shape)} and {list(second.input.shape)}")
    partners = match(first, second)
    build = _Coupling(tie, first.input, exact)
    for node in first.nodes:
        if node.name in partners:
            build.append(node, partners[node.name])
    other = first.output
    if build.differences[first.output] is not None:
        other = build.add("second output", Add((1, -1)), (first.output, build.differences[first.output]))
    return build.finish(first.output, other)


def merge(first: Graph, second: Graph, tie: Tie = SHARED) -> Graph:
    """The same outputs from both networks side by side, whatever their structure. The input of `second` is that of the
    pair: x, or x and its rise."""
    build = _Coupling(tie, first.input)
    for node in first.nodes:
        if not isinstance(node.op, Input):
            build.put(node)
    names: dict[str, str] = {}
    for node in second.nodes:
        if isinstance(node.op, Input):
            names[node.name] = build.whole_input(node.shape)
        else:
            inputs = tuple(names[each] for each in node.inputs)
            names[node.name] = f"second/{node.name}"
            build.put(dataclasses.replace(node, name=names[node.name], inputs=inputs))
    _check_sizes(first, second, inputs=False)
    return build.finish(first.output, names[second.output])


def _check_sizes(first: Graph, second: Graph, inputs: bool = True) -> None:
    shapes = {"outputs": (first[first.output].shape, second[second.output].shape)}
    shapes |= {"inputs": (first.input.shape, second.input.shape)} if inputs else {}
    for what, (own, other) in shapes.items():
        if math.prod(own) != math.prod(other):
            raise ShapeMismatch(f"the first network has {math.prod(own)} {what}, the second one {math.prod(other)} "
                                f"(shapes {list(own)} and {list(other)}); a pair has as many on both sides")


def match(first: Graph, second: Graph) -> dict[str, Node]:
    """Name in `first` -> partner in `second`, for all that the output depends on, walking from the outputs back."""
    partners: dict[str, Node] = {}
    stack = [(first.output, second.output)]
    while stack:
        name, other = stack.pop()
        a, b = first[name], second[other]
        if name in partners:
            if partners[name].name != other:
                raise Unpaired(f"node {name!r} would have two partners, {partners[name].name!r} and {other!r}")
            continue
        _check_pair(a, b)
        partners[name] = b
        stack.extend(zip(a.inputs, b.inputs, strict=True))
    return partners


def equal(a: Op, b: Op) -> bool:
    """Whether two operators of one type hold the same numbers."""
    return a is b or all(_same(getattr(a, entry.name), getattr(b, entry.name)) for entry in dataclasses.fields(a))


def _same(one: object, other: object) -> bool:
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)
    return one == other


def _check_pair(a: Node, b: Node) -> None:
    where = f"nodes {a.name!r} and {b.name!r}"
    if type(a.op) is not type(b.op) or len(a.inputs) != len(b.inputs):
        raise Unpaired(f"{where} are {type(a.op).__name__} and {type(b.op).__name__} of {len(a.inputs)} and "
                       f"{len(b.inputs)} values")
    if a.shape != b.shape:
        raise Unpaired(f"{where} have the shapes {list(a.shape)} and {list(b.shape)}")
    if a.op is b.op:
        return
    for entry in dataclasses.fields(a.op):
        one, other = getattr(a.op, entry.name), getattr(b.op, entry.name)
        if _is_weight(a.op, one) or _is_weight(b.op, other):
            continue
        if not _same(one, other):
            raise Unpaired(f"{where} ({type(a.op).__name__}) differ in {entry.name}")


def _is_weight(op: Op, value: object) -> bool:
    return isinstance(op, WEIGHTED) and _holds_numbers(value)


def _holds_numbers(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


class _Coupling:
    """Nodes under construction: those of the first network and the differences, `differences[name]` None where there
    is none."""

    def __init__(self, tie: Tie, source: Node, exact: bool = False):
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {}
        self.exact = exact
        own, apart = tie.entries(source)
        for node in own:
            self.put(node)
        self.differences: dict[str, str | None] = {source.name: apart}

    def put(self, node: Node) -> None:
        self.nodes.append(node)
        self.shapes[node.name] = node.shape

    def add(self, name: str, op: Op, inputs: tuple[str, ...]) -> str:
        self.put(Node(name, op, inputs, op.output_shape(*(self.shapes[each] for each in inputs))))
        return name

    def whole_input(self, shape: Shape) -> str:
        """The input of the pair in the second network's shape."""
        source = self.nodes[0]
        if math.prod(source.shape) != math.prod(shape):
            raise ShapeMismatch(f"the input of the pair has {math.prod(source.shape)} entries, the second network "
                                f"takes {math.prod(shape)}; a pair has as many on both sides")
        return source.name if source.shape == shape else self.add("second input", Reshape(shape), (source.name,))

    def difference(self, name: str, reader: str) -> str:
        """The difference of a value, zeros where there is none."""
        found = self.differences[name]
        if found is not None:
            return found
        return self.add(f"no {DIFFERENCE}{name} for {reader}", Constant(torch.zeros(self.shapes[name]).double()), ())

    def append(self, node: Node, partner: Node) -> None:
        """The node of the first network, and its distance from the partner."""
        if isinstance(node.op, Input):
            return
        inner = [self.differences[name] for name in node.inputs]
        # The difference comes first: it asks for bounds of all entries of what both read, a ReLU only of some.
        if node.op.linear:
            found = self._linear(node, partner, inner)
        elif all(d is None for d in inner):
            found = None
        elif isinstance(node.op, Product):
            found = self._product(node, inner)
        elif len(inner) == 1 and has_slopes(node.op):
            found = self.add(DIFFERENCE + node.name, Difference(node.op), (node.inputs[0], inner[0]))
        else:
            raise Unpaired(f"node {node.name!r}: differences of {type(node.op).__name__} are not bounded")
        self.put(node)
        self.differences[node.name] = found

    def _linear(self, node: Node, partner: Node, inner: list[str | None]) -> str | None:
        name, op = DIFFERENCE + node.name, node.op
        same = op is partner.op or (self.exact and equal(op, partner.op))
        if not isinstance(op, WEIGHTED):
            if not same and any(_holds_numbers(getattr(op, entry.name)) for entry in dataclasses.fields(op)):
                raise Unpaired(f"node {node.name!r}: differences of the weights of {type(op).__name__} are not known")
            if all(d is None for d in inner):
                return None
            if isinstance(op, Add):
                signs, read = zip(*((s, d) for s, d in zip(op.signs, inner, strict=True) if d is not None), strict=True)
                return self.add(name, Add(signs), read)
            return self.add(name, without_offset(op, node), tuple(
                self.difference(source, node.name) for source in node.inputs))
        if isinstance(op, Affine) and inner[0] is not None and not same and op.scale is partner.op.scale is None:
            return self.add(name, shift_change(op, partner.op), (inner[0],))
        parts = []
        if inner and inner[0] is not None:
            parts.append(self.add(f"{name} (input)", without_offset(partner.op, partner), (inner[0],)))
        if not same:
            parts.append(self.add(f"{name} (weights)", change(node, partner), node.inputs))
        if len(parts) == 2:
            return self.add(name, Add((1, 1)), tuple(parts))
        return parts[0] if parts else None

    def _product(self, node: Node, inner: list[str | None]) -> str:
        """u v - u' v' = u d_v + d_u (v - d_v)."""
        (u, v), (d_u, d_v), name = node.inputs, inner, DIFFERENCE + node.name
        parts = []
        if d_v is not None:
            parts.append(self.add(f"{name} (second)", Product(), (u, d_v)))
        if d_u is not None:
            other = v if d_v is None else self.add(f"{name} (partner)", Add((1, -1)), (v, d_v))
            parts.append(self.add(f"{name} (first)", Product(), (d_u, other)))
        return parts[0] if len(parts) == 1 else self.add(name, Add((1, 1)), tuple(parts))

    def finish(self, first: str, second: str) -> Graph:
        size = math.prod(self.shapes[first])
        ends = [self.add(f"{what} output, flat", Reshape((size,)), (name,))
                for what, name in (("first", first), ("second", second))]
        self.add("pair", Concat(0), tuple(ends))
        return Graph(tuple(self.nodes), "pair").pruned()


def without_offset(op: LinearOp, node: Node) -> LinearOp:
    """W of y = W x + b."""
    names = {entry.name for entry in dataclasses.fields(op)}
    cleared = {name: None for name in ("bias", "shift", "bias_magnitude", "shift_magnitude") if name in names}
    cleared |= {"fill": 0.0} if isinstance(op, Gather) else {}
    plain = dataclasses.replace(op, **cleared)
    if plain.offset() is not None:
        raise Unpaired(f"node {node.name!r}: {type(op).__name__} has an offset that cannot be taken away")
    return plain


def shift_change(a: Affine, b: Affine) -> Affine:
    """d + (t - t') for maps without scales: the terms that meet are charged as those of a folded shift."""
    shifts, sizes = [[getattr(op, name) for op in (a, b)] for name in ("shift", "shift_magnitude")]
    one, other = (torch.zeros(()).double() if shift is None else shift for shift in shifts)
    room = one.abs() + other.abs()
    for size in sizes:
        room = room if size is None else room + size
    return Affine(None, one - other, room)


def change(node: Node, partner: Node) -> Change:
    """(W - W') v + (b - b') for two operators of one kind."""
    a, b = node.op, partner.op
    if getattr(a, "row_noise", None) is not None or getattr(b, "row_noise", None) is not None:
        raise BrokenInvariant(f"node {node.name!r} is the product of a simplification; graphs are coupled before that")
    step, size = {}, {}
    for entry in dataclasses.fields(a):
        one, other = getattr(a, entry.name), getattr(b, entry.name)
        if entry.name.endswith("_magnitude") or not (
                _is_weight(a, one) or _is_weight(b, other)):
            continue
        neutral = 1.0 if entry.name == "scale" else 0.0
        one, other = (torch.tensor(neutral).double() if value is None else value for value in (one, other))
        step[entry.name], size[entry.name] = one - other, one.abs() + other.abs()
    if isinstance(a, Affine) and "scale" not in step:
        step["scale"], size["scale"] = torch.zeros(()).double(), torch.zeros(()).double()
    sizes = [getattr(op, name) for op in (a, b) for name in ("bias_magnitude", "shift_magnitude")
             if getattr(op, name, None) is not None]
    for met in sizes:
        # What met in a folded constant is larger than the constant.
        name = "shift" if isinstance(a, Affine) else "bias"
        size[name] = size.get(name, 0) + met
    cleared = {name: None for name in ("bias_magnitude", "shift_magnitude") if hasattr(a, name)}
    return Change(dataclasses.replace(a, **cleared | step), dataclasses.replace(a, **cleared | size))
