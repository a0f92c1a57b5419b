"""Wrong answers that verifiers have given, one test per line of the project's failure list (its numbers in the names).

Lines 14, 15, 18, 24 and what else belongs to curves, products and steps: test_failure_list_curves.py. Lines that other
tests hold already: 4, 7 (tests/verify/vnnlib), 9-13 and 16 (tests/verify/onnx_import, every operator against
onnxruntime), 20, 28, 41 (nothing of that kind exists here: no cuts, no samples as bounds), 19 (batch mates:
tests/verify/bounds, tests/bab), 22 (NaN in bounds, margins, duals, candidates: tests/bab, tests/verify/lp,
tests/verify/bounds), 23 (tests/verify/test_runtime.py), 25 (tests/verify/test_sets.py), 31-33, 36 (tests/verify/lp),
37, 38, 40 (tests/bab), 43-46 (tests/verify/attack, tests/verify/certificate), 48-50 (tests/verify/test_cli.py,
test_supervise.py), 53 and 54 (test_random_networks.py, engines without an attack).
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from bab.relu_split import ReluSplitBounder
from tests.soundness.nets import PROVERS, case, dense, row, verdicts
from tests.soundness.random_networks import KINDS, problem
from verify.bounds.crown import crown
from verify.bounds.ibp import ibp
from verify.bounds.walk import charges
from verify.budget import Budget
from verify.engines.bab import analyse_root
from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import import from_bytes
from verify.pipeline import Problem, solve
from verify.query import Spec
from verify.vnnlib import read_spec

MIX = dense([([[1.0, 1.0], [1.0, -1.0]], [0, 0]), ([[1.0, 0.0], [0.0, 1.0]], [0, 0])])
"""y = (relu(x0 + x1), relu(x0 - x1))."""

IDENTITY = dense([([[1.0]], [0.0])])
BOX = "".join(f"(assert (>= X_{k} -1))(assert (<= X_{k} 1))" for k in range(2))
DECLARED = "".join(f"(declare-const {v}_{k} Real)" for v in "XY" for k in range(2))


def decide(tmp_path, text: str, model: bytes = MIX, methods=PROVERS) -> set[str]:
    path = tmp_path / "spec.vnnlib"
    path.write_text(DECLARED + text)
    question = Problem(from_bytes(model), read_spec(path))
    return {solve(question, method, Budget.seconds(10.0), device="cpu").as_vnncomp for method in methods}


def network(nodes, weights, inputs: int, outputs: int) -> bytes:
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s]) for n, s in (("x", inputs), ("y", outputs))]
    known = [numpy_helper.from_array(np.asarray(v, np.float32), name) for name, v in weights.items()]
    graph = helper.make_graph([helper.make_node(op, i, o) for op, i, o in nodes], "g", ends[:1], ends[1:], known)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    proto.ir_version = 8
    return proto.SerializeToString()


def test_01_a_condition_after_an_or_belongs_to_every_disjunct(tmp_path):
    choice = "(assert (or (and (>= Y_0 5)) (and (>= Y_1 0.5))))"
    assert decide(tmp_path, f"{BOX}{choice}(assert (>= Y_0 2.5))", methods=("bab", "milp")) == {"unsat"}
    assert decide(tmp_path, f"{BOX}{choice}(assert (>= Y_0 0.5))", methods=("bab", "milp")) == {"sat"}


def test_02_and_03_boxes_stay_a_union_with_their_own_limits(tmp_path):
    boxes = " ".join(f"(and (>= X_0 {a}) (<= X_0 {b}) (>= X_1 0) (<= X_1 0) (<= Y_0 {t}))"
                     for a, b, t in ((0.2, 0.3, 0.19), (0.5, 0.6, 0.49), (0.9, 1, 0.89)))
    assert decide(tmp_path, f"(assert (or {boxes}))") == {"unsat"}
    assert "sat" in decide(tmp_path, f"(assert (or {boxes.replace('0.49', '0.51')}))", methods=("bab",))


@pytest.mark.parametrize("strict", [True, False])
def test_05_a_minimum_of_exactly_zero_is_never_proved_when_it_counts(strict):
    found = verdicts(MIX, case([-1, -1], [1, 1], [row({0: 1}, 0, strict=strict)]))
    assert found <= ({"unsat", "unknown"} if strict else {"sat", "unknown"})


def test_06_fixed_unbounded_and_empty_inputs(tmp_path):
    tenths = [Fraction(1, 10), Fraction(3, 10)]
    assert verdicts(MIX, case(tenths, tenths, [row({0: 1}, Fraction(-39, 100))])) == {"unsat"}
    assert "unsat" not in verdicts(MIX, case(tenths, tenths, [row({0: 1}, Fraction(-4, 10))]))
    assert decide(tmp_path, f"{BOX}(assert (>= X_0 2))(assert (>= Y_0 0))") == {"unsat"}
    with pytest.raises(InvalidInput, match="X_1 has no"):
        decide(tmp_path, "(assert (>= X_0 0))(assert (<= X_0 1))(assert (>= Y_0 0))")


def test_08_the_second_language_is_read_as_declared_or_refused(tmp_path):
    """More in tests/verify/vnnlib/v2."""
    path = tmp_path / "two.vnnlib"
    path.write_text("(vnnlib-version <2.0>)\n(declare-network f)")
    with pytest.raises(InvalidInput, match=r"two\.vnnlib:2.*no input"):
        read_spec(path)
    declared = "(declare-network f (declare-input X real [1,2]) (declare-output Y real [1,2]))"
    limits = "".join(f"(assert (and (>= X[0,{k}] -1.0) (<= X[0,{k}] 1.0)))" for k in range(2))
    for threshold, allowed in (("-0.01", {"unsat", "unknown"}), ("0.01", {"sat", "unknown", "timed-out"})):
        # relu(x0 + x1) relu(x0 - x1) is not negative, and 0 somewhere.
        path.write_text(f"(vnnlib-version <2.0>)\n{declared}\n{limits}(assert (<= (* Y[0,0] Y[0,1]) {threshold}))")
        question = Problem(from_bytes(MIX), read_spec(path))
        found = {solve(question, method, Budget.seconds(1.0), device="cpu").as_vnncomp for method in PROVERS}
        assert found <= allowed and len(found & {"unsat", "sat"}) == 1


def test_16_unknown_operators_are_refused_never_skipped():
    for operator in ("NonZero", "Bernoulli", "Mystery"):
        with pytest.raises((UnsupportedOperator, InvalidInput), match=operator):
            from_bytes(network([(operator, ["x"], ["y"])], {}, 2, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_17_residual_branches_with_degenerate_bounds(dtype):
    """Branches that are constant, stable or carry the input: every value inside its interval."""
    nodes = [("Gemm", ["x", "a", "b"], ["z"]), ("Relu", ["z"], ["r"]), ("Gemm", ["r", "c", "d"], ["s"]),
             ("Relu", ["s"], ["t"]), ("Add", ["t", "r"], ["u"]), ("Add", ["u", "z"], ["v"]), ("Relu", ["v"], ["w"]),
             ("Sub", ["w", "r"], ["y"])]
    rng = np.random.default_rng(0)
    weights = {"a": np.diag([1.0, 0.0, 1.0]), "b": [0.0, 2.0, -5.0], "c": rng.normal(size=(3, 3)), "d": [0.1, -9, 9]}
    graph = from_bytes(network(nodes, weights, 3, 3)).graph.to(dtype=dtype)
    box = case([-1, 0.5, 0.3], [1, 0.5, 0.3], []).box.interval((1, 3), dtype=dtype)
    _, bounds = crown(graph, box, charges=charges(graph, ibp(graph, box)))
    exact = graph.to(dtype=torch.float64)
    values = exact.values(box.to(dtype=torch.float64).sample(500), bounds)
    for name, interval in bounds.items():
        assert bool((interval.lower.double() <= values[name]).all()), name
        assert bool((values[name] <= interval.upper.double()).all()), name


@pytest.mark.parametrize("width", [0.0, 1e-9, 1e-7])
def test_21_float32_bounds_of_degenerate_boxes_do_not_empty_the_program(width):
    lower, upper = [0.3, -0.2], [0.3, -0.2 + width]
    model = dense([([[1.0, 3.0], [-2.0, 1.0]], [0.3, 0.8]), ([[1.0, -1.0], [2.0, 1.0]], [0.0, 0.0]), ([[1, 1]], [0])])
    y = float(from_bytes(model).graph.evaluate(torch.tensor([[lower]], dtype=torch.float64)))
    assert "unsat" not in verdicts(model, case(lower, upper, [row({0: 1}, -y - 1e-3)]))


def test_26_and_39_and_42_nothing_learnt_about_one_disjunct_or_box_reaches_another():
    """Disjunct 0 clips to x0 > 0.9, disjunct 1 has its only points at x0 < -0.9: a shared clip would lose them."""
    left, right = [row({}, Fraction(9, 10), {0: 1})], [row({}, Fraction(9, 10), {0: -1}), row({0: 1}, 1)]
    assert "unsat" not in verdicts(MIX, case([-1, -1], [1, 1], right, left))
    safe, unsafe = case([0.5, -0.1], [1, 0.1], [row({0: 1}, -0.3)]), case([-1, -0.1], [1, 0.1], [row({0: 1}, -0.3)])
    for order in ((safe, unsafe), (unsafe, safe)):
        assert "unsat" not in verdicts(MIX, *order)


def test_27_bounds_at_zero_do_not_flip_a_stable_neuron():
    """The gadget of satisfiability encodings: relu(x) - 2 relu(x - 1/2) peaks at 1/2; its ends touch 0."""
    model = dense([([[1.0], [1.0]], [0.0, -0.5]), ([[1.0, -2.0]], [0.0])])
    assert verdicts(model, case([0], [1], [row({0: 1}, 0.01)])) <= {"unsat", "unknown"}
    assert "unsat" not in verdicts(model, case([0], [1], [row({0: 1})]))
    assert "unsat" not in verdicts(model, case([0], [1], [row({0: -1}, 0.5)]))
    assert "unsat" in verdicts(model, case([0], [1], [row({0: -1}, 0.51)]))


@pytest.mark.parametrize("model", [
    IDENTITY, dense([([[2.0]], [1.0])] * 3, "Identity"), dense([([[1.0]], [5.0]), ([[1.0]], [-5.0])]),
    network([("Identity", ["x"], ["y"])], {}, 1, 1), dense([([[1.0]], [-9.0]), ([[1.0]], [0.0])]),
], ids=["one layer", "no ReLU", "stable", "output is input", "dead"])
def test_29_networks_without_anything_to_split(model):
    low = float(from_bytes(model).graph.evaluate(torch.tensor([[[-1.0]]], dtype=torch.float64)))
    assert verdicts(model, case([-1], [1], [row({0: 1}, Fraction(low) * -1 + Fraction(1, 100))])) == {"unsat"}
    assert verdicts(model, case([-1], [1], [row({0: 1}, -Fraction(low))]), engines=("bab", "milp")) <= {
        "sat", "unknown"}


def test_30_children_share_no_memory():
    model = dense([([[1.0, 2.0], [2.0, -1.0]], [0.1, 0.2]), ([[1.0, -1.0]], [0.0])])
    asked = Problem(from_bytes(model), spec_of(case([-1, -1], [1, 1], [row({0: 1}, 0.5)])))
    query = asked.query(asked.spec.cases[0])
    state = analyse_root(query, Budget())
    bounder = ReluSplitBounder(query, state.network, query.interval(), ~(state.margins > 0), torch.float32)
    children = bounder.split(bounder.root())
    before = children.alpha[1].clone()
    for name in ("alpha", "beta", "signs"):
        children.data[name][0].fill_(1)
    assert torch.equal(children.alpha[1], before) and not torch.equal(children.signs[0], children.signs[1])


def spec_of(*cases):
    return Spec(cases[0].box.lower.size, 1, cases, "by hand")


@pytest.mark.parametrize("large", [2.0**14, 2.0**24])
def test_34_large_bounds_are_no_fixed_constant(large):
    """A big-M of 1000 would cut off every point with a large activation."""
    model = dense([([[large], [-large]], [0, 0]), ([[1 / large, 1 / large]], [0])])
    assert "unsat" not in verdicts(model, case([-1], [1], [row({0: -1}, 0.99)]))
    assert "unsat" in verdicts(model, case([-1], [1], [row({0: -1}, 1.01)]))


def test_35_and_51_rows_and_cases_do_not_mix():
    """Two rows of one disjunct can never hold together, alone each can: no single row proves, and none is dropped."""
    both = [row({0: 1}, -1.5), row({0: -1}, 1.6)]
    assert "unsat" in verdicts(IDENTITY, case([0], [3], both))
    assert "unsat" not in verdicts(IDENTITY, case([0], [3], both[:1])) | verdicts(IDENTITY, case([0], [3], both[1:]))
    assert "unsat" not in verdicts(IDENTITY, case([0], [3], both, both[1:]))


@pytest.mark.parametrize("seed", range(len(KINDS)))
def test_54_the_verdict_does_not_depend_on_how_a_property_is_written(seed):
    """Disjuncts in another order, twice, rows scaled, an implied row added, boxes in two halves."""
    asked = problem(seed)

    def scaled(h, by):
        return replace(h, constant=h.constant * by, y=tuple((k, c * by) for k, c in h.y),
                       x=tuple((k, c * by) for k, c in h.x))

    def implied(h):
        return replace(h, constant=h.constant - 1)

    def halves(part):
        k = int(np.argmax(part.box.upper - part.box.lower))
        low, high = part.box.lower.copy(), part.box.upper.copy()
        low[k] = high[k] = np.float32((low[k] + high[k]) / 2)
        return [replace(part, box=type(part.box).from_floats(a, b)) for a, b in
                ((part.box.lower, high), (low, part.box.upper))]

    changes = (
        lambda part: [replace(part, disjuncts=part.disjuncts[::-1] + part.disjuncts)],
        lambda part: [replace(part, disjuncts=tuple(tuple(scaled(h, Fraction(1, 3)) for h in d[::-1])
                                                    for d in part.disjuncts))],
        lambda part: [replace(part, disjuncts=tuple((*d, implied(d[0])) for d in part.disjuncts))],
        halves,
    )
    wrong = "unsat" if asked.unsafe is not None else "sat"
    for change in changes:
        spec = replace(asked.spec, cases=tuple(new for part in asked.spec.cases for new in change(part)))
        for method in ("alpha-crown", "bab"):
            result = solve(Problem(from_bytes(asked.onnx), spec), method, Budget.seconds(20.0), device="cpu")
            assert result.as_vnncomp != wrong, (seed, method, result)
