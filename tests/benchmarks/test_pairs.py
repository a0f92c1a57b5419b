import csv

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from benchmarks.pairs import Row, main, rounded, short_name, table
from tests.soundness.nets import dense
from verify.errors import InvalidInput

LAYERS = [(np.array([[0.1, 0.3], [-0.7, 0.2]]), np.array([0.01, 0.02])), (np.array([[1.1, -0.9]]), np.array([0.3]))]


def test_weights_are_rounded_to_float16():
    proto = onnx.load_model_from_string(rounded(dense(LAYERS)))
    weight = numpy_helper.to_array(proto.graph.initializer[0])
    assert weight.dtype == np.float32 and weight[0, 0] == np.float32(np.float16(0.1)) != np.float32(0.1)
    with pytest.raises(InvalidInput, match="float16"):
        rounded(dense([(np.array([[1e6]]), np.zeros(1))]))


def test_the_whole_table(tmp_path, capsys):
    nets = tmp_path / "nets"
    nets.mkdir()
    (nets / "tiny.onnx").write_bytes(dense(LAYERS))
    spec = tmp_path / "p.vnnlib"
    spec.write_text("(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)" + "".join(
        f"(assert (<= X_{k} 1.0))(assert (>= X_{k} -1.0))" for k in (0, 1)) + "(assert (<= Y_0 0.0))")
    assert main(["--networks", str(nets), "--box", str(spec), "--seconds", "3", "--csv", str(tmp_path / "o.csv")]) == 0
    out = capsys.readouterr().out
    assert "| tiny |" in out and "proved side by side" in out
    (row,) = csv.DictReader((tmp_path / "o.csv").open())
    assert 0 < float(row["found"]) <= float(row["proved"]) <= float(row["coupled"]) * (1 + 1e-12)
    assert float(row["proved"]) <= 1.11 * float(row["found"])


def test_without_networks(tmp_path, capsys):
    assert main(["--networks", str(tmp_path), "--box", "p.vnnlib"]) == 2
    assert "no networks" in capsys.readouterr().err


def test_names_and_ratios():
    from pathlib import Path

    assert short_name(Path("ACASXU_run2a_4_5_batch_2000.onnx.gz")) == "4_5" and short_name(Path("a.b.onnx")) == "a"
    assert "| 1.50 |" in table([Row("a", 4.0, 3.0, 1.5, 1.0, 2, 1.0)])
