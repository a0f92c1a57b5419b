"""Metamorphic relations: other ways of writing the same question.

A relation takes a problem with known truth and returns variants (model, property) with the same truth; `same_rows` says
that even the bounds of the property's rows must be the same numbers up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import onnx

from benchmarks.soundness.questions import spec_text
from tests.soundness.nets import dense
from tests.soundness.random_networks import Builder, Problem, pose, problem
from verify.query import Case, InputBox, LinearConstraint, Spec
from verify.vnnlib import parse_spec

Layer = tuple[np.ndarray, np.ndarray]
OPSETS = (11, 12, 13, 14, 15, 16, 17)
"""Between these the operators of the random networks mean the same, Split and ReduceMean apart."""


@dataclass(frozen=True, eq=False)
class Variant:
    """The same question in other words."""

    onnx: bytes
    spec: Spec


@dataclass(frozen=True, eq=False)
class Pair:
    """A question, its variants, and whether the bounds of rows must agree."""

    question: Problem
    variants: tuple[Variant, ...]
    same_rows: bool


def _draw_layers(rng: np.random.Generator, builder: Builder) -> list[Layer]:
    sizes = [builder.input_shape[1], *(int(rng.integers(2, 6)) for _ in range(int(rng.integers(1, 4)))), 2]
    return [(builder.draw(o, i), 0.5 * builder.draw(o)) for i, o in pairwise(sizes)]


def _dense_problem(seed: int) -> tuple[np.random.Generator, list[Layer], Problem]:
    rng = np.random.default_rng(seed)
    builder = Builder(rng, (1, int(rng.integers(1, 5))))
    layers = _draw_layers(rng, builder)
    return rng, layers, pose(seed, rng, "dense", dense(layers))


def permute_neurons(seed: int) -> Pair:
    """The neurons of every hidden layer in another order."""
    rng, layers, p = _dense_problem(seed)
    order = np.arange(layers[0][0].shape[1])
    changed = []
    for k, (weight, bias) in enumerate(layers):
        after = rng.permutation(len(bias)) if k < len(layers) - 1 else np.arange(len(bias))
        changed.append((weight[after][:, order], bias[after]))
        order = after
    return Pair(p, (Variant(dense(changed), p.spec),), True)


def rescale_layers(seed: int) -> Pair:
    """Layers multiplied by 2^k, the next one divided by it: relu(2^k z) = 2^k relu(z)."""
    rng, layers, p = _dense_problem(seed)
    factors = [1.0, *(2.0 ** int(rng.integers(-20, 21)) for _ in layers[1:]), 1.0]
    changed = [(weight * np.float32(after / before), bias * np.float32(after))
               for (weight, bias), before, after in zip(layers, factors[:-1], factors[1:], strict=True)]
    return Pair(p, (Variant(dense(changed), p.spec),), True)


def unroll_convolution(seed: int) -> Pair:
    """A convolution as the Gemm of its matrix. Both read the same nine inputs."""
    rng = np.random.default_rng(seed)
    builder = Builder(rng, (1, 1, 3, 3))
    kernel, stride, pad = int(rng.integers(2, 4)), int(rng.integers(1, 3)), int(rng.integers(0, 2))
    weight, bias = builder.draw(2, 1, kernel, kernel), 0.5 * builder.draw(2)
    size = (3 + 2 * pad - kernel) // stride + 1
    last, end = builder.draw(2, 2 * size * size), 0.5 * builder.draw(2)
    x = builder.add("Conv", "x", builder.constant(weight), builder.constant(bias), kernel_shape=[kernel, kernel],
                    strides=[stride, stride], pads=[pad] * 4)
    x = builder.add("Flatten", builder.relu(x))
    y = builder.add("Gemm", x, builder.constant(last), builder.constant(end), transB=1)
    p = pose(seed, rng, "conv", builder.model(y, 2))
    matrix = _conv_matrix(weight, size, stride, pad)
    flat = Builder(rng, (1, 1, 3, 3))
    z = flat.add("Gemm", flat.add("Flatten", "x"), flat.constant(matrix), flat.constant(np.repeat(bias, size * size)),
                 transB=1)
    y = flat.add("Gemm", flat.relu(z), flat.constant(last), flat.constant(end), transB=1)
    return Pair(p, (Variant(flat.model(y, 2), p.spec),), True)


def _conv_matrix(weight: np.ndarray, size: int, stride: int, pad: int) -> np.ndarray:
    """(channels * size * size, 9) of a convolution over 3 x 3 inputs."""
    channels, _, kernel, _ = weight.shape
    matrix = np.zeros((channels, size, size, 9), np.float32)
    for c, i, j, a, b in np.ndindex(channels, size, size, kernel, kernel):
        row, column = i * stride + a - pad, j * stride + b - pad
        if 0 <= row < 3 and 0 <= column < 3:
            matrix[c, i, j, 3 * row + column] = weight[c, 0, a, b]
    return matrix.reshape(-1, 9)


def rename_tensors(seed: int) -> Pair:
    """Every tensor, the input and the output included, and every node has another name; initialisers in reverse."""
    p = problem(seed)
    model = onnx.load_from_string(p.onnx)
    graph = model.graph
    names = {name: f"t/{k}:0" for k, name in enumerate(sorted(
        {v.name for v in (*graph.input, *graph.output, *graph.initializer)} | {o for n in graph.node for o in n.output}
    ))}
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names[value.name]
    for k, node in enumerate(graph.node):
        node.name = f"node {k}"
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    tensors = list(graph.initializer)[::-1]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    return Pair(p, (Variant(model.SerializeToString(), p.spec),), True)


def other_opsets(seed: int) -> Pair:
    """The same operators under an older and a newer operator set."""
    p = problem(seed)
    model = onnx.load_from_string(p.onnx)
    kinds = {node.op_type for node in model.graph.node}
    fitting = [n for n in OPSETS if n != 13 and (n > 13 or "Split" not in kinds)]
    rng, variants = np.random.default_rng(seed), []
    for version in rng.choice(fitting, 2, replace=False):
        model.opset_import[0].version = int(version)
        variants.append(Variant(model.SerializeToString(), p.spec))
    return Pair(p, tuple(variants), True)


def _with_cases(p: Problem, change: Callable[[Case], Sequence[Case]]) -> Variant:
    return Variant(p.onnx, replace(p.spec, cases=tuple(new for case in p.spec.cases for new in change(case))))


def swap_disjuncts(seed: int) -> Pair:
    """Disjuncts and their rows in reverse order, and boxes too; and everything twice."""
    p = problem(seed)
    swapped = _with_cases(p, lambda case: [replace(case, disjuncts=tuple(d[::-1] for d in case.disjuncts[::-1]))])
    swapped = replace(swapped, spec=replace(swapped.spec, cases=swapped.spec.cases[::-1]))
    twice = _with_cases(p, lambda case: [replace(case, disjuncts=case.disjuncts * 2)] * 2)
    return Pair(p, (swapped, twice), False)


def redundant_rows(seed: int) -> Pair:
    """Rows multiplied by positive numbers, rows that others imply, and as text: limits that say less."""
    p = problem(seed)

    def times(h: LinearConstraint, by: Fraction) -> LinearConstraint:
        return replace(h, constant=h.constant * by, y=tuple((k, c * by) for k, c in h.y),
                       x=tuple((k, c * by) for k, c in h.x))

    def wordy(case: Case) -> list[Case]:
        return [replace(case, disjuncts=tuple(
            (*(times(h, Fraction(2, 7)) for h in d), replace(d[0], constant=d[0].constant - 1)) for d in case.disjuncts
        ))]

    text = spec_text(p.spec) + "".join(
        f"(assert (<= X_{k} 1000))(assert (or (>= X_{k} -1000) (>= X_{k} -2000)))\n" for k in range(p.spec.inputs))
    return Pair(p, (_with_cases(p, wordy), Variant(p.onnx, parse_spec(text))), False)


def through_text(seed: int) -> Pair:
    """Written as VNN-LIB and read again."""
    p = problem(seed)
    return Pair(p, (Variant(p.onnx, parse_spec(spec_text(p.spec))),), False)


def split_boxes(seed: int) -> Pair:
    """Every box as two halves along its longest side."""
    p = problem(seed)

    def halves(case: Case) -> list[Case]:
        low, high = case.box.lower.copy(), case.box.upper.copy()
        k = int(np.argmax(high - low))
        low[k] = high[k] = np.float32((low[k] + high[k]) / 2)
        return [replace(case, box=InputBox.from_floats(a, b)) for a, b in ((case.box.lower, high),
                                                                         (low, case.box.upper))]

    return Pair(p, (_with_cases(p, halves),), False)


ALL = (permute_neurons, rescale_layers, unroll_convolution, rename_tensors, other_opsets, swap_disjuncts,
       redundant_rows, through_text, split_boxes)
RELATIONS: MappingProxyType[str, Callable[[int], Pair]] = MappingProxyType({one.__name__: one for one in ALL})
