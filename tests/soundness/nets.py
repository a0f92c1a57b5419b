"""Small networks written out by hand, and the verdict of every engine on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from verify.budget import Budget
from verify.onnx_import import from_bytes
from verify.pipeline import Problem, solve
from verify.query import Case, InputBox, LinearConstraint, Spec

PROVERS = ("ibp", "crown", "alpha-crown", "bab", "milp")
"""Engines that prove and do not attack, so that no early counterexample can hide a wrong bound."""

Layer = tuple[Sequence, Sequence]


def dense(layers: Iterable[Layer], activation: str = "Relu") -> bytes:
    """y = W_k f(... f(W_1 x + b_1)) + b_k as an ONNX model; `layers`: (weight (o, i), bias (o)) as nested lists."""
    nodes, known, value, inputs = [], [], "x", None
    layers = list(layers)
    for k, (weight, bias) in enumerate(layers):
        w, b = np.asarray(weight, np.float32), np.asarray(bias, np.float32)
        inputs = w.shape[1] if inputs is None else inputs
        known += [numpy_helper.from_array(w, f"w{k}"), numpy_helper.from_array(b, f"b{k}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{k}", f"b{k}"], [f"z{k}"], transB=1))
        value = f"z{k}"
        if k < len(layers) - 1:
            nodes.append(helper.make_node(activation, [value], [f"y{k}"]))
            value = f"y{k}"
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s]) for n, s in (("x", inputs), (value, len(b)))]
    graph = helper.make_graph(nodes, "hand", ends[:1], ends[1:], known)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    proto.ir_version = 8
    return proto.SerializeToString()


def row(y: dict[int, object], constant: object = 0, x: dict[int, object] | None = None, strict: bool = False
        ) -> LinearConstraint:
    """y . Y + x . X + constant <= 0 (< 0)."""
    exact = [tuple((k, Fraction(c)) for k, c in (terms or {}).items()) for terms in (y, x)]
    return LinearConstraint(exact[0], Fraction(constant), exact[1], strict)


def case(lower: Sequence, upper: Sequence, *disjuncts: Sequence[LinearConstraint]) -> Case:
    limits = [[Fraction(v) for v in side] for side in (lower, upper)]
    return Case(InputBox.exact(*limits), tuple(tuple(d) for d in disjuncts))


def verdicts(model: bytes, *cases: Case, engines: Sequence[str] = PROVERS, dtypes: Sequence[str] = (
        "float64", "float32"), seconds: float = 5.0) -> set[str]:
    """What all engines in all dtypes say: a set of `sat`, `unsat`, `unknown`, `timed-out`."""
    network = from_bytes(model)
    spec = Spec(int(np.prod(network.input_shape)), int(np.prod(network.output_shape)), cases, "by hand")
    return {solve(Problem(network, spec), engine, Budget.seconds(seconds), device="cpu", dtype=dtype).as_vnncomp
            for engine in engines for dtype in dtypes}
