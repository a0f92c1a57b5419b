"""The command line of the standard: what it says about itself is true, and a query runs from files to files."""

import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from tests.verify.vnnlib.v2.models import absolute
from tests.verify.vnnlib.v2.texts import box, network, query
from verify import standard
from verify.errors import InvalidInput
from verify.onnx_import.ops import supported
from verify.standard import CAPABILITIES, Question, answer, parse_networks, settled, supports
from verify.supervise import Outcome

# What the solver database accepts for each flag.
PERMITTED = {
    "hidden-node-theories": {"NH", "H"}, "multiple-input-output-theories": {"SIO", "MIO"},
    "multiple-network-theories": {"SNET", "MENET", "MINET", "MNET"},
    "multiple-node-comparison-theories": {"SNC", "MNC"},
    "arithmetic-complexity-theories": {"BND", "OUTC", "LIN", "POLY"},
    "optimised-disjunctive-reasoning": {"true", "false"}, "serialise-assignments": {"true", "false"},
    "onnx-element-types": {"float32", "real"},
}


def printed(name: str) -> list[str]:
    outcome = supports([name])
    assert outcome.exit_code == 0
    return outcome.line.splitlines()


@pytest.mark.parametrize("name", CAPABILITIES)
def test_every_capability_is_answered(name):
    lines = printed(name)
    assert lines and all(lines)
    if name in PERMITTED:
        assert set(lines) <= PERMITTED[name]
    if name.endswith("versions"):
        assert len(lines) == 2


def test_operators_are_those_of_the_import():
    lines = dict(line.partition(" ")[::2] for line in printed("onnx-operators"))
    assert tuple(lines) == supported() and set(lines) >= standard.FLOAT32
    assert lines["Conv"] == "" and set(lines.values()) <= {"", "real"}


def test_no_capability_is_an_error():
    with pytest.raises(InvalidInput, match="--onnx-operators"):
        supports([])


def test_networks_by_name():
    assert {k: str(v) for k, v in parse_networks(["f=a=b.onnx", "g=c"]).items()} == {"f": "a=b.onnx", "g": "c"}
    for bad in ("f", "f=", "=a.onnx"):
        with pytest.raises(InvalidInput, match="NAME=FILE"):
            parse_networks([bad])


def test_answers_are_successes_and_failures_are_not():
    assert settled(Outcome(1, "sat")).exit_code == 0 and settled(Outcome(6, "unknown")).exit_code == 0
    assert settled(Outcome(70, "unknown", "internal error")).exit_code == 70 and settled(Outcome(5)).exit_code == 5


def files(tmp_path, condition: str):
    (tmp_path / "net.onnx").write_bytes(absolute())
    (tmp_path / "q.vnnlib").write_text(query(
        f"(assert (== X[0,0] U[0,0]))(assert {condition})", network() + network("g", "U", "V", "(equal-to f)"),
        box() + box("U")))
    return tmp_path / "q.vnnlib", {"f": tmp_path / "net.onnx"}


def test_an_answer_with_its_assignments(tmp_path):
    query_file, networks = files(tmp_path, "(>= (+ Y[0,0] V[0,0]) 2.0)")
    found = answer(Question(query_file, networks))
    lines = found.line.splitlines()
    assert lines[0] == "sat" and lines[1] == "X real [1,2]" and lines[4] == "Y real [1,2]" and len(lines) == 13
    found = answer(Question(query_file, networks, None, tmp_path / "out"))
    assert found.line == "sat"
    values = {name: numpy_helper.to_array(TensorProto.FromString((tmp_path / "out" / f"{name}.pb").read_bytes()))
              for name in "XYUV"}
    assert abs(values["X"][0, 0]) == 1.0 == values["V"][0, 0] and values["U"].shape == (1, 2)


def test_a_query_of_version_1_takes_its_model_under_any_name(tmp_path):
    (tmp_path / "net.onnx").write_bytes(absolute())
    declared = "".join(f"(declare-const {v}_{k} Real)" for v in "XY" for k in range(2))
    limits = "".join(f"(assert (<= X_{k} 1))(assert (>= X_{k} -1))" for k in range(2))
    (tmp_path / "q.vnnlib").write_text(declared + limits + "(assert (>= Y_0 1.5))")
    assert answer(Question(tmp_path / "q.vnnlib", {"n": tmp_path / "net.onnx"})).line == "unsat"
    (tmp_path / "q.vnnlib").write_text(declared + limits + "(assert (>= Y_0 1.0))")
    found = answer(Question(tmp_path / "q.vnnlib", {"n": tmp_path / "net.onnx"})).line
    assert found.startswith("sat\n((X_0 ") and np.isclose(abs(float(found.split()[2].rstrip(")"))), 1.0)


def test_the_process(tmp_path):
    query_file, networks = files(tmp_path, "(> Y[0,0] (+ 1.01 V[0,0]))")
    command = [sys.executable, "-m", "verify", "verify", str(query_file), "--network", f"f={networks['f']}"]
    done = subprocess.run([*command, "--timeout", "60"], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("unsat\n", 0), done.stderr


def test_models_too_many(tmp_path):
    query_file, networks = files(tmp_path, "(> Y[0,0] 2.0)")
    with pytest.raises(InvalidInput, match="g is equal-to f and takes no model of its own"):
        answer(Question(query_file, {**networks, "g": networks["f"]}))
