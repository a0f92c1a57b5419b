"""What is asked: a `Spec` (the unsafe set) and a `Query` (network + one input box + the unsafe set as rows).

A property is given by its *unsafe* set, as in VNN-LIB: a union of cases; each case is an input box and a disjunction
of conjunctions of linear constraints `h(x, y) <= 0` over network inputs and outputs. The property holds (`unsat`)
when no case has a point. Proving a case means: for each disjunct some row, or some non-negative combination of its
rows, is positive on the whole box.

A row may also read *monomials*, products of inputs and outputs: entry `outputs + k` of its output part is monomial k of
the `Spec`. The lowered graph computes them (`verify.monomials`), the exact check multiplies rationals.

Numbers are exact: literals are kept as `Fraction`s. A box carries two float64 pairs: `lower`/`upper` rounded outward,
for bounds, and `inner_lower`/`inner_upper` rounded inward, so that a float point lies in the declared box if and only
if it lies between the inner limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

import numpy as np
import torch

from verify.errors import InvalidInput, ShapeMismatch
from verify.graph import Graph, Node
from verify.interface import Interface
from verify.monomials import Monomial, monomial_nodes
from verify.ops import Concat, Linear, Reshape
from verify.result import Witness
from verify.sets import Interval

Numbers = np.ndarray | Sequence[Fraction]

COMFORT = 100
"""Rows whose largest number is beyond 2 ** +-100 (float32 reaches 2 ** +-126) are scaled to about 1."""


def enclose(value: Fraction | Decimal) -> tuple[float, float]:
    """The float64 numbers next to an exact value, at or below it and at or above it (equal when representable)."""
    try:
        near = float(value)
    except OverflowError:
        near = math.inf
    if math.isinf(near):
        raise InvalidInput("a number does not fit into float64 (magnitude above 1.8e308)")
    back = type(value)(near)  # exact, and so is the comparison within one type
    if back == value:
        return near, near
    return (math.nextafter(near, -math.inf), near) if back > value else (near, math.nextafter(near, math.inf))


@dataclass(frozen=True, eq=False)
class InputBox:
    """Exact lower <= x <= upper per flattened input entry. All arrays float64 (i,)."""

    lower: np.ndarray
    upper: np.ndarray
    inner_lower: np.ndarray
    inner_upper: np.ndarray

    @classmethod
    def exact(cls, lower: Sequence[Fraction | Decimal], upper: Sequence[Fraction | Decimal]) -> InputBox:
        """From exact limits; an empty box is representable (see `empty`)."""
        low, high = (np.array([enclose(v) for v in values], dtype=np.float64).reshape(-1, 2)
                     for values in (lower, upper))
        return cls(low[:, 0], high[:, 1], low[:, 1], high[:, 0])

    @classmethod
    def from_floats(cls, lower: np.ndarray, upper: np.ndarray) -> InputBox:
        """Limits that are float64 numbers are exact as they are."""
        lower = np.asarray(lower, dtype=np.float64).reshape(-1)
        upper = np.asarray(upper, dtype=np.float64).reshape(-1)
        if lower.shape != upper.shape or not (np.isfinite(lower).all() and np.isfinite(upper).all()):
            raise InvalidInput("input bounds must be finite and of one length")
        return cls(lower, upper, lower, upper)

    @cached_property
    def empty(self) -> int | None:
        """Index of an input whose lower limit exceeds its upper limit, or None."""
        # The outer limits cross only if the exact ones do by more than rounding; equal outer limits with crossed
        # inner ones are a non-empty real interval that holds no float64, so the comparison uses the outer pair.
        crossed = np.flatnonzero(self.lower > self.upper)
        return int(crossed[0]) if crossed.size else None

    def interval(self, shape: tuple[int, ...], device="cpu", dtype=torch.float64) -> Interval:
        """The outer box as an `Interval` (1, *shape)."""
        if math.prod(shape) != self.lower.size:
            raise ShapeMismatch(
                f"the property declares {self.lower.size} inputs but the network takes {math.prod(shape)} "
                f"(shape {list(shape)})"
            )
        lower, upper = (torch.from_numpy(a.copy()).reshape(1, *shape) for a in (self.lower, self.upper))
        return Interval(lower, upper).to(device, dtype)


@dataclass(frozen=True)
class LinearConstraint:
    """h = sum_k y[k] Y_k + sum_k x[k] X_k + constant, unsafe where h <= 0 (h < 0 if `strict`). Exact coefficients.

    From Y_outputs on, the outputs are the monomials of the spec (`Spec.extended`)."""

    y: tuple[tuple[int, Fraction], ...]
    constant: Fraction
    x: tuple[tuple[int, Fraction], ...] = ()
    strict: bool = False

    def value(self, x: Numbers, y: Numbers) -> Fraction:
        """h at a point, exactly."""
        total = self.constant
        for k, c in self.x:
            total += c * exact(x[k])
        for k, c in self.y:
            total += c * exact(y[k])
        return total

    def violated(self, x: Numbers, y: Numbers) -> bool:
        """True when the point lies in this constraint's (unsafe) half-space."""
        h = self.value(x, y)
        return h < 0 or (h == 0 and not self.strict)


Disjunct = tuple[LinearConstraint, ...]
Columns = dict[tuple[str, int], int]


def exact(value: float | Fraction) -> Fraction:
    """A float of any width, or a fraction, as the number that it is."""
    return value if isinstance(value, Fraction) else Fraction(float(value))


@dataclass(frozen=True, eq=False)
class Case:
    """One input box and the disjunction (of conjunctions) that is unsafe on it. An empty conjunction is always true."""

    box: InputBox
    disjuncts: tuple[Disjunct, ...]


@dataclass(frozen=True, eq=False)
class Spec:
    """The unsafe set: union of `cases`; `inputs`/`outputs` are the counts of X and Y. `source` names it.

    `monomials`: the products that rows may read behind the outputs. `interface`: what the X and Y are, where the
    property declares networks and tensors by name (VNN-LIB 2.0); None where it counts X_i and Y_j only.
    """

    inputs: int
    outputs: int
    cases: tuple[Case, ...]
    source: str = "python"
    monomials: tuple[Monomial, ...] = ()
    interface: Interface | None = None

    def name(self, kind: str, index: int) -> str:
        """What the property calls entry `index` of "X" or "Y"."""
        return f"{kind}_{index}" if self.interface is None else self.interface.entry(kind, index)

    def extended(self, x: Numbers, y: Numbers) -> Numbers:
        """y, with the exact values of the monomials behind it where there are any."""
        if not self.monomials:
            return y
        values = {"x": x, "y": y}
        products = (math.prod((exact(values[kind][k]) for kind, k in monomial), start=Fraction(1))
                    for monomial in self.monomials)
        return [*map(exact, y), *products]

    def unsafe(self, x: np.ndarray, y: np.ndarray) -> bool:
        """Exact membership of (x, y), both flat, in the unsafe set (x within the declared box included)."""
        around = [case for case in self.cases
                  if bool(np.all((case.box.inner_lower <= x) & (x <= case.box.inner_upper)))]
        whole = self.extended(x, y) if around else y
        return any(all(h.violated(x, whole) for h in disjunct) for case in around for disjunct in case.disjuncts)


@dataclass(frozen=True, eq=False)
class Query:
    """A `Case` on a network, ready for the engines.

    `graph` ends in one node of shape (R,), the deduplicated rows of all disjuncts; `members` (D, R) says which rows
    each disjunct consists of. `replay(x)` turns a candidate point into a witness, or None.
    """

    graph: Graph
    box: InputBox
    members: torch.Tensor
    case: Case
    replay: Callable[[torch.Tensor], Witness | None]

    @property
    def rows(self) -> int:
        return self.members.shape[1]

    @cached_property
    def varying(self) -> np.ndarray:
        """Flat indices of the inputs that really vary: more than one float lies between their limits. (An input fixed
        to a decimal that is no float has outer limits that differ by an ulp.)"""
        return np.flatnonzero(self.box.inner_upper > self.box.inner_lower)

    def interval(self) -> Interval:
        """The outer box (1, *input shape) in the graph's dtype and on its device."""
        return self.box.interval(self.graph.input.shape, self.graph.device, self.graph.dtype)


def _no_replay(x: torch.Tensor) -> None:
    """Without the original network no candidate can become a witness."""


def _check_indices(case: Case, spec: Spec) -> None:
    """Y and X share the columns of the rows, so an index out of range would silently mean another variable."""
    for disjunct in case.disjuncts:
        for h in disjunct:
            for name, terms, count in (("Y", h.y, spec.outputs + len(spec.monomials)), ("X", h.x, spec.inputs)):
                for k, _ in terms:
                    if not 0 <= k < count:
                        raise InvalidInput(f"{spec.source}: a condition reads {name}_{k}; there are {name}_0 to "
                                           f"{name}_{count - 1}")


def _float_row(h: LinearConstraint) -> tuple[dict[tuple[str, int], float], float]:
    """Coefficients and the constant, each rounded once (which `Linear` charges): terms of one variable are added
    exactly, and a row beyond float64's comfort is multiplied by a power of two, which keeps its sign."""
    terms: dict[tuple[str, int], Fraction] = {}
    for kind, k, c in (*(("y", k, c) for k, c in h.y), *(("x", k, c) for k, c in h.x)):
        terms[kind, k] = terms.get((kind, k), Fraction(0)) + c
    largest = max(map(abs, (*terms.values(), h.constant)))
    exponent = largest.numerator.bit_length() - largest.denominator.bit_length()
    factor = Fraction(2) ** -exponent if abs(exponent) > COMFORT else Fraction(1)
    return {k: float(c * factor) for k, c in terms.items()}, float(h.constant * factor)


def _distinct(case: Case) -> dict[LinearConstraint, int]:
    """The different left sides of a case, in order of appearance, with their row numbers."""
    index: dict[LinearConstraint, int] = {}
    for disjunct in case.disjuncts:
        for h in disjunct:
            index.setdefault(LinearConstraint(h.y, h.constant, h.x), len(index))
    return index


def row_numbers(case: Case) -> tuple[tuple[int, ...], ...]:
    """Per disjunct, the row of `Query.graph` of each of its constraints; equal ones (strict or not) share a row."""
    index = _distinct(case)
    return tuple(tuple(index[LinearConstraint(h.y, h.constant, h.x)] for h in disjunct) for disjunct in case.disjuncts)


def lower(case: Case, network: Graph, spec: Spec, replay: Callable[[torch.Tensor], Witness | None] = _no_replay
          ) -> Query:
    """Appends the constraints of `case` to the network as last affine rows."""
    inputs, outputs = math.prod(network.input.shape), math.prod(network[network.output].shape)
    if spec.inputs != inputs:
        raise ShapeMismatch(
            f"{spec.source} declares {spec.inputs} inputs (X), the network takes {inputs} "
            f"(shape {list(network.input.shape)})"
        )
    if spec.outputs != outputs:
        raise ShapeMismatch(
            f"{spec.source} declares {spec.outputs} outputs (Y), the network returns {outputs} "
            f"(shape {list(network[network.output].shape)})"
        )
    _check_indices(case, spec)
    # Without any output condition one row that belongs to no disjunct spares every engine the case of no rows.
    index = _distinct(case) or {LinearConstraint((), Fraction(0)): 0}
    members = torch.zeros(len(case.disjuncts), len(index), dtype=torch.bool)
    for d, rows in enumerate(row_numbers(case)):
        members[d, list(rows)] = True
    nodes, columns = _values(network, index, spec)
    nodes.append(Node("spec:rows", _rows(index, columns), (nodes[-1].name,), (len(index),)))
    placed = (replace(node, op=node.op.to(network.device, network.dtype)) for node in nodes)
    graph = Graph((*network.nodes, *placed), "spec:rows", network.device, network.dtype)
    return Query(graph, case.box, members, case, replay)


def _values(network: Graph, rows: Iterable[LinearConstraint], spec: Spec) -> tuple[list[Node], Columns]:
    """Nodes that end in one flat vector of all that `rows` read, and where in it they find it."""
    outputs, inputs = spec.outputs, spec.inputs
    used = sorted({k - outputs for h in rows for k, _ in h.y if k >= outputs})
    nodes, blocks = [Node("spec:y", Reshape((outputs,)), (network.output,), (outputs,))], ["spec:y"]
    columns = {("y", k): k for k in range(outputs)}
    reads_input = any(h.x for h in rows)
    if reads_input or used:
        nodes.append(Node("spec:x", Reshape((inputs,)), (network.input.name,), (inputs,)))
    if used:
        nodes += monomial_nodes([spec.monomials[k] for k in used], inputs, outputs)
        blocks.append(nodes[-1].name)
        columns |= {("y", outputs + k): outputs + at for at, k in enumerate(used)}
    if reads_input:
        blocks.append("spec:x")
        columns |= {("x", k): outputs + len(used) + k for k in range(inputs)}
    if len(blocks) > 1:
        nodes.append(Node("spec:yx", Concat(0), tuple(blocks), (len(columns),)))
    return nodes, columns


def _rows(index: Collection[LinearConstraint], columns: Columns) -> Linear:
    weight = torch.zeros(len(index), len(columns), dtype=torch.float64)
    bias = torch.zeros(len(index), dtype=torch.float64)
    for r, h in enumerate(index):
        terms, bias[r] = _float_row(h)
        for term, c in terms.items():
            weight[r, columns[term]] = c
    return Linear(weight, bias)
