"""A witness is inside the box, unsafe on onnxruntime in exact arithmetic, and survives being written and read."""

import re
import subprocess
import sys
from fractions import Fraction

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from verify.certificate.witness import Replayer, project_inside, replay, violation, witness_text, write_witness
from verify.errors import InvalidInput, ShapeMismatch, UnsupportedOperator
from verify.onnx_import import Part, Port
from verify.query import Case, LinearConstraint, Spec
from verify.result import Witness
from verify.vnnlib import parse_spec

FLOAT32 = np.dtype(np.float32)


def model(nodes, weights=(), inputs=(1, 2), outputs=(1, 2), kind=TensorProto.FLOAT, weights_as_inputs=False) -> bytes:
    """x -> y with the given nodes; `weights` maps names to arrays."""
    declared = [helper.make_tensor_value_info("x", kind, list(inputs))]
    stored = [numpy_helper.from_array(array, name) for name, array in dict(weights).items()]
    if weights_as_inputs:
        declared += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in stored]
    graph = helper.make_graph(nodes, "g", declared, [helper.make_tensor_value_info("y", kind, outputs)], stored)
    # Before IR version 4 every initialiser had to be listed as an input.
    version = 3 if weights_as_inputs else 8
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=version)
    return made.SerializeToString()


def identity(**rest) -> bytes:
    return model([helper.make_node("Identity", ["x"], ["y"])], **rest)


def spec(body: str, lower="-1", upper="1", inputs=2, outputs=2):
    names = [f"X_{i}" for i in range(inputs)] + [f"Y_{i}" for i in range(outputs)]
    text = "".join(f"(declare-const {n} Real)" for n in names)
    text += "".join(f"(assert (>= X_{i} {lower}))(assert (<= X_{i} {upper}))" for i in range(inputs))
    return parse_spec(text + body, "test.vnnlib")


def read_back(text: str, kind=np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Independent reader of the VNN-COMP form."""
    found = re.findall(r"\(([XY])_(\d+) ([^\s()]+)\)", text)
    assert [int(k) for name, k, _ in found if name == "X"] == list(range(sum(name == "X" for name, *_ in found)))
    return tuple(np.array([v for name, _, v in found if name == wanted], dtype=np.float64).astype(kind)
                 for wanted in "XY")


def test_accepts_a_counterexample_and_measures_it():
    s = spec("(assert (<= Y_0 0.25))(assert (>= Y_1 0.25))")
    witness = Replayer(identity(), s).check(torch.tensor([[0.0, 1.0]]))
    assert witness.x.tolist() == [0, 1] and witness.y.tolist() == [0, 1] and witness.x.dtype == FLOAT32
    assert witness.violation == 0.25
    assert replay(identity(), spec("(assert (<= Y_0 0))"), np.array([0.5, 0])) is None


def test_violation_is_best_disjunct_worst_row():
    s = spec("(assert (or (and (<= Y_0 0) (<= Y_1 0)) (<= Y_0 -0.125)))")
    assert violation(s, np.zeros(2), np.array([-1.0, -0.75])) == 0.875
    assert violation(s, np.full(2, 3.0), np.array([-1.0, -1.0])) == -np.inf
    assert violation(spec(""), np.zeros(2), np.zeros(2)) == np.inf


def test_strict_constraint_at_exactly_zero_is_not_violated():
    x = np.zeros(2)
    assert replay(identity(), spec("(assert (< Y_0 0))"), x) is None
    assert replay(identity(), spec("(assert (<= Y_0 0))"), x).violation == 0
    assert replay(identity(), spec("(assert (> Y_0 Y_1))"), x) is None


def test_strict_input_limit_does_not_count_on_the_border():
    s = spec("(assert (< X_0 0.5))(assert (<= Y_1 0))")
    assert replay(identity(), s, np.array([0.5, 0.0])) is None
    assert replay(identity(), s, np.array([0.25, 0.0])) is not None


def test_decimal_limits_without_float32_equal_are_kept():
    s = spec("(assert (>= Y_0 0))(assert (<= Y_1 0))", lower="-0.1", upper="0.1")
    tenth = float(np.nextafter(np.float32(0.1), np.float32(0)))
    for x in ([0.1, -0.1], [5.0, -5.0], [np.inf, -np.inf]):
        witness = replay(identity(), s, np.array(x))
        assert witness.x.tolist() == [tenth, -tenth]
        assert s.unsafe(witness.x, witness.y)


def test_box_without_any_float32():
    s = spec("(assert (<= Y_0 9))", lower="0.1", upper="0.1")
    assert replay(identity(), s, np.array([0.1, 0.1])) is None
    narrow = spec("", lower="0.10000000001", upper="0.10000000002").cases[0].box
    assert project_inside(np.array([0.1, 0.1]), narrow, FLOAT32) is None
    assert project_inside(np.array([0.1, 0.1]), narrow, np.dtype(np.float64)) is not None
    huge = spec("", lower="1e39", upper="1e40").cases[0].box
    assert project_inside(np.array([1e39, 1e39]), huge, FLOAT32) is None


def test_projection_is_inside_and_nearest():
    rng = np.random.default_rng(0)
    for _ in range(50):
        low = rng.normal(size=2)
        s = spec("", lower=f"{low.min():.12f}", upper=f"{low.min() + abs(rng.normal()):.12f}")
        box, x = s.cases[0].box, rng.normal(size=2) * 2
        inside = project_inside(x, box, FLOAT32)
        assert ((box.inner_lower <= inside) & (inside <= box.inner_upper)).all()
        within = (x > box.inner_lower + 1e-6) & (x < box.inner_upper - 1e-6)
        assert (inside[within] == x[within].astype(np.float32)).all()


def test_nan_and_infinite_values_are_never_a_witness():
    s = spec("(assert (<= Y_0 9))")
    assert replay(identity(), s, np.array([np.nan, 0.0])) is None
    root = model([helper.make_node("Sqrt", ["x"], ["y"])])
    assert replay(root, s, np.array([-1.0, 0.0])) is None
    assert replay(model([helper.make_node("Log", ["x"], ["y"])]), s, np.zeros(2)) is None
    assert replay(root, s, np.array([0.25, 0.25])).y.tolist() == [0.5, 0.5]


def test_nearest_case_and_named_case():
    boxes = " ".join(f"(and (>= X_0 {k}) (<= X_0 {k}.5) (>= Y_0 {k}.25))" for k in range(3))
    text = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (or " + boxes + "))"
    replayer = Replayer(identity(inputs=(1, 1), outputs=(1, 1)), parse_spec(text))
    assert replayer.check(np.array([1.6])).x.tolist() == [1.5]
    assert replayer.check(np.array([1.9])) is None  # moves to 2.0, which is no counterexample
    assert replayer.check(np.array([1.6]), replayer.spec.cases[0]).x.tolist() == [0.5]


def test_weights_listed_as_inputs_and_symbolic_batch():
    weight, bias = np.array([[2.0, 0.0], [0.0, -1.0]], np.float32), np.array([0.5, 0.0], np.float32)
    data = model([helper.make_node("Gemm", ["x", "w", "b"], ["y"])], {"w": weight, "b": bias}, inputs=("batch", 2),
                 outputs=("batch", 2), weights_as_inputs=True)
    replayer = Replayer(data, spec("(assert (>= Y_0 2.5))"))
    assert replayer.check(np.array([1.0, 1.0])).y.tolist() == [2.5, -1]
    assert replayer.output(torch.tensor([[0.25, 0.5]])).tolist() == [1, -0.5]


def test_double_network_keeps_17_digits():
    double = identity(kind=TensorProto.DOUBLE)
    point = np.array([0.1, 1 / 3])
    assert replay(double, spec("(assert (<= Y_0 0.1))", lower="0.1"), point) is None  # no double equals 0.1
    witness = replay(double, spec("(assert (<= Y_0 0.2))", lower="0.1"), point)
    assert witness.x.dtype == np.float64 and witness.x[1] == 1 / 3
    x, _ = read_back(witness_text(witness), np.float64)
    assert (x == witness.x).all()


def test_round_trip_of_every_digit(tmp_path):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=300), 10.0 ** rng.uniform(-44, 38, size=300), [0.0, -0.0]]).astype(np.float32)
    witness = Witness(x, x[::-1].copy(), 0.0)
    write_witness(tmp_path / "w.txt", witness)
    text = (tmp_path / "w.txt").read_text()
    assert text.startswith("((X_0 ") and text.endswith("))\n") and text.count("(") == text.count(")") == 2 * len(x) + 1
    read_x, read_y = read_back(text)
    assert (read_x == witness.x).all() and (read_y == witness.y).all()


def test_text_by_hand():
    witness = Witness(np.array([0.1, 2], np.float32), np.array([-3], np.float32), 0.0)
    assert witness_text(witness) == "((X_0 0.100000001)\n (X_1 2)\n (Y_0 -3))\n"


def test_writing_replaces_whole_files_and_leaves_nothing_behind(tmp_path):
    witness = Witness(np.zeros(1, np.float32), np.zeros(1, np.float32), 0.0)
    target = tmp_path / "w.txt"
    target.write_text("old " * 100)
    write_witness(target, witness)
    assert target.read_text() == "((X_0 0)\n (Y_0 0))\n" and [p.name for p in tmp_path.iterdir()] == ["w.txt"]
    with pytest.raises(InvalidInput, match="cannot write the witness: No such file"):
        write_witness(tmp_path / "gone" / "w.txt", witness)
    with pytest.raises(InvalidInput, match="not a regular file"):
        write_witness(tmp_path, witness)


def test_network_and_property_must_fit():
    with pytest.raises(ShapeMismatch, match=r"declares 3 inputs \(X\), the network takes 2"):
        replay(identity(), spec("", inputs=3), np.zeros(3))
    with pytest.raises(ShapeMismatch, match=r"declares 1 outputs \(Y\), the network returns 2"):
        replay(identity(), spec("", outputs=1), np.zeros(2))
    with pytest.raises(ShapeMismatch, match="the point has 3 entries"):
        replay(identity(), spec(""), np.zeros(3))
    with pytest.raises(ShapeMismatch, match="the point has 1 entries"):
        Replayer(identity(), spec("")).output(np.zeros(1))


def test_networks_that_cannot_be_replayed(tmp_path):
    with pytest.raises(InvalidInput, match="onnxruntime cannot load the network"):
        replay(b"not a network", spec(""), np.zeros(2))
    with pytest.raises(InvalidInput, match="onnxruntime cannot load the network"):
        replay(tmp_path / "gone.onnx", spec(""), np.zeros(2))
    with pytest.raises(UnsupportedOperator, match=r"has type tensor\(int64\)"):
        replay(identity(kind=TensorProto.INT64), spec(""), np.zeros(2))


def two_inputs(kinds=(TensorProto.FLOAT, TensorProto.FLOAT)) -> bytes:
    """(a, b) -> (a + b, a), both of shape (1, 2); a and b may differ in type, the sum has that of a."""
    nodes = [helper.make_node("Cast", ["b"], ["c"], to=kinds[0]), helper.make_node("Add", ["a", "c"], ["y"]),
             helper.make_node("Identity", ["a"], ["z"])]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(n, k, [1, 2]) for n, k in zip("ab", kinds, strict=True)],
        [helper.make_tensor_value_info(n, kinds[0], [1, 2]) for n in "yz"])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def test_several_inputs_and_outputs_lie_one_behind_the_other():
    s = spec("(assert (>= Y_1 0.75))(assert (<= Y_2 0.5))", inputs=4, outputs=4)
    witness = replay(two_inputs(), s, np.array([0.5, 0.25, 1.0, 0.5]))
    assert witness.y.tolist() == [1.5, 0.75, 0.5, 0.25] and witness.y.dtype == FLOAT32
    assert replay(two_inputs(), s, np.array([0.75, 0.25, 1.0, 0.5])) is None


def test_every_input_gets_the_type_of_its_own():
    s = spec("", lower="0.1", inputs=4, outputs=4)
    witness = replay(two_inputs((TensorProto.FLOAT, TensorProto.DOUBLE)), s, np.full(4, 0.1))
    assert witness.x.tolist() == [np.float32(0.1)] * 2 + [0.1] * 2 and witness.x.dtype == np.float64


def parts(*names: str) -> tuple[Part, ...]:
    port = (Port("x", (1, 2)),), (Port("y", (1, 2)),)
    return tuple(Part(name, double_of(name), *port) for name in names)


def double_of(name: str) -> bytes:
    """x -> 2 x for the name "twice", x -> x for others."""
    twice = [helper.make_node("Add", ["x", "x"], ["y"])]
    return model(twice if name == "twice" else [helper.make_node("Identity", ["x"], ["y"])])


def test_each_network_is_run_on_its_inputs():
    s = spec("(assert (>= Y_0 1))(assert (<= Y_2 0.5))", inputs=4, outputs=4)
    witness = replay(parts("twice", "once"), s, np.array([0.5, 0.25, 0.125, -1.0]))
    assert witness.y.tolist() == [1.0, 0.5, 0.125, -1.0]
    shared = Replayer(parts("twice", "once"), spec("", inputs=3, outputs=4), wiring=(0, 1, 1, 2))
    assert shared.check(np.array([0.5, 0.25, 1.0])).y.tolist() == [1.0, 0.5, 0.25, 1.0]


def test_monomials_and_strictness_are_decided_exactly():
    """The square of the float next to 0.1 is no float: only exact arithmetic tells it from its rounding."""
    x = np.array([np.float64(np.float32(0.1)), 0.0])
    square = Fraction(float(x[0])) ** 2
    s = spec("")
    for constant, strict, wanted in ((square, False, True), (square, True, False),
                                     (square * (1 - Fraction(1, 10**30)), False, False)):
        row = LinearConstraint(((2, Fraction(1)),), -constant, strict=strict)
        asked = Spec(2, 2, (Case(s.cases[0].box, ((row,),)),), monomials=((("x", 0), ("y", 0)),))
        assert (replay(identity(), asked, x) is not None) == wanted


def test_path_with_external_weights(tmp_path):
    weight = np.eye(2, dtype=np.float32) * 3
    made = onnx.load_model_from_string(model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight}))
    onnx.save_model(made, str(tmp_path / "m.onnx"), save_as_external_data=True, size_threshold=0, location="w.bin")
    assert (tmp_path / "w.bin").exists()
    assert replay(tmp_path / "m.onnx", spec(""), np.ones(2)).y.tolist() == [3, 3]


def test_only_a_point_that_both_readings_show_counts():
    replayer = Replayer(identity(), spec("(assert (<= Y_0 0))"))
    replayer.__dict__["optimised"] = type("Shifted", (), {"run": lambda self, x: x + np.float32(1e-6)})()
    assert replayer.check(np.zeros(2)) is None
    assert replayer.check(np.full(2, -0.5)) is not None


def test_onnxruntime_is_loaded_only_when_used():
    code = "import sys, verify.certificate.witness; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
