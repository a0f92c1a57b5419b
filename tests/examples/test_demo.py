"""What `make demo` promises, through the real command: verdicts, exit codes, and a counterexample that is one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COMMAND = (sys.executable, "-c", "from verify.cli import main; main()")


def run(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize("name", ["digits_mlp", "digits_conv"])
def test_proved(name, tmp_path):
    done = run("run", EXAMPLES / f"{name}.onnx", EXAMPLES / f"{name}_holds.vnnlib", "--json", tmp_path / "out.json")
    assert (done.stdout, done.returncode) == ("unsat\n", 0), done.stderr
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["tree"]["smallest_margin"] > 0 and content["semantics"] == "real"


@pytest.mark.parametrize("name", ["digits_mlp", "digits_conv"])
def test_refuted_with_a_point_that_shows_it(name, tmp_path):
    network, spec = EXAMPLES / f"{name}.onnx", EXAMPLES / f"{name}_violated.vnnlib"
    done = run("run", network, spec, "--witness", tmp_path / "w.txt")
    assert (done.stdout, done.returncode) == ("sat\n", 1), done.stderr
    point = dict(re.findall(r"\((\w+) ([^\s()]+)\)", (tmp_path / "w.txt").read_text()))
    x = np.array([point[f"X_{i}"] for i in range(64)], dtype=np.float32)
    for op, index, limit in re.findall(r"\(assert \((<=|>=) X_(\d+) (\S+)\)\)", spec.read_text()):
        assert (float(x[int(index)]) <= float(limit)) if op == "<=" else (float(x[int(index)]) >= float(limit))
    session = onnxruntime.InferenceSession(network.read_bytes())
    scores = session.run(None, {"x": x.reshape(1, 1, 8, 8)})[0].reshape(-1)
    label = int(re.search(r"; class (\d)", spec.read_text())[1])
    assert scores.max() == np.delete(scores, label).max() >= scores[label]


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"not a model"])
def test_a_damaged_network_is_bad_input(damage, tmp_path):
    (tmp_path / "net.onnx").write_bytes(damage((EXAMPLES / "digits_mlp.onnx").read_bytes()))
    done = run("run", tmp_path / "net.onnx", EXAMPLES / "digits_mlp_holds.vnnlib")
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "net.onnx" in done.stderr
