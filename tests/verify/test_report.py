"""Exit codes, the JSON document and its atomic writing."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from verify.errors import InvalidInput
from verify.options import RunOptions
from verify.report import SCHEMA, document, exit_code, summary, write_json
from verify.result import ClosedTree, Reason, Result, Robustness, Stats, Witness

WITNESS = Witness(np.array([0.5, 0.1], dtype=np.float32), np.array([np.inf]), 0.25)
CASES = [
    (Result.verified(ClosedTree(3, 0.5)), 0),
    (Result.verified(ClosedTree(1, float("inf"), "the input set is empty")), 0),
    (Result.falsified(WITNESS), 1),
    (Result.unknown(Reason.INCOMPLETE), 3),
    (Result.unknown(Reason.DEPTH), 3),
    (Result.unknown(Reason.NUMERICS), 3),
    (Result.unknown(Reason.TIMEOUT), 4),
    (Result.unknown(Reason.UNSUPPORTED), 5),
    (Result.unknown(Reason.MEMORY), 6),
]


@pytest.fixture
def options(tmp_path):
    paths = tmp_path / "net.onnx", tmp_path / "spec.vnnlib"
    for path in paths:
        path.write_text(path.name)
    return RunOptions(*paths, timeout=5.0)


@pytest.mark.parametrize(("result", "code"), CASES)
def test_exit_codes(result, code):
    assert exit_code(result) == code


@pytest.mark.parametrize(("result", "code"), CASES)
def test_every_document_is_strict_json(result, code, options):
    content = document(options, result.as_vnncomp, result)
    again = json.loads(json.dumps(content, allow_nan=False))
    assert again["schema"] == SCHEMA and again["verdict"] == result.as_vnncomp and again["semantics"] == "real"
    assert set(content) == set(document(options, "timed-out", reason="stopped"))
    assert again["best_bound"] is None
    assert "\n" not in summary(result)


def test_document_content(options):
    stats = Stats(1.5, 7, -0.25, "bab", {"load": 0.5})
    content = document(options, "sat", Result.falsified(WITNESS, stats=stats))
    assert content["network_sha256"] == hashlib.sha256(b"net.onnx").hexdigest()
    assert content["witness"] == {
        "input": [0.5, float(np.float32(0.1))], "input_hex": ["0x1.0000000000000p-1", "0x1.99999a0000000p-4"],
        "input_bits": ["3f000000", "3dcccccd"], "type": "float32", "outside": 0.0,
        "outputs": {"onnxruntime": [None], "onnxruntime_optimised": None},
        "violation": {"onnxruntime": 0.25, "real": None, "exact": None, "rounding": None},
        "label": None, "explanation": None,
    }
    assert (content["seconds"], content["domains"], content["best_bound"]) == (1.5, 7, -0.25)
    assert (content["method"], content["phases"]) == ("bab", {"load": 0.5})
    assert content["options"]["timeout"] == 5.0 and content["options"]["network"].endswith("net.onnx")


def test_labelled_counterexample(options):
    x = np.array([1 / 3])
    robust = Robustness("robust", 0.125, 0.125, 3.01e-6, True, "far from the border")
    witness = Witness(x, np.array([2.0]), 0.25, 0.0, np.array([3.0]), robust)
    result = Result.falsified(witness, stats=Stats(1.5, 7, method="attack"))
    content = document(options, "sat", result)["witness"]
    assert (content["type"], content["input_bits"]) == ("float64", ["3fd5555555555555"])
    assert float.fromhex(content["input_hex"][0]) == content["input"][0] == 1 / 3
    assert content["outputs"] == {"onnxruntime": [2.0], "onnxruntime_optimised": [3.0]}
    assert content["violation"] == {"onnxruntime": 0.25, "real": [0.125, 0.125], "exact": True, "rounding": 3.01e-6}
    assert (content["label"], content["explanation"]) == ("robust", "far from the border")
    assert summary(result).endswith("; robust: violation 0.125, rounding can change it by at most 3.1e-06")
    infinite = Robustness("fragile", 0.125, 0.125, np.inf, True, "executions may overflow")
    fragile = Result.falsified(replace(witness, robustness=infinite))
    assert document(options, "sat", fragile)["witness"]["violation"]["rounding"] is None
    assert summary(fragile).endswith("; fragile: executions may overflow")
    assert exit_code(fragile) == 1 and fragile.as_vnncomp == "sat"


def test_stopped_run_has_no_evidence(options):
    content = document(options, "timed-out", reason="stopped", seconds=5.2)
    assert (content["tree"], content["witness"], content["reason"]) == (None, None, "stopped")


def test_summary_says_why():
    assert "violated" in summary(CASES[2][0]) and "onnxruntime" in summary(CASES[2][0])
    assert "the input set is empty" in summary(CASES[1][0])
    assert "time limit reached" in summary(CASES[6][0])


def test_writing_leaves_no_temporary_file(tmp_path):
    target = tmp_path / "out.json"
    for number in (1, 2):
        write_json(target, {"number": number})
        assert json.loads(target.read_text()) == {"number": number}
    assert list(tmp_path.iterdir()) == [target]


def test_unwritable_target_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"cannot write .*missing"):
        write_json(tmp_path / "missing" / "out.json", {})
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").write_text("")
    with pytest.raises(InvalidInput, match="cannot write"):
        write_json(tmp_path / "folder", {})
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(("semantics", "words"), [("real", "the network over the reals"),
                                                  ("float32", "every float32 execution")])
def test_the_semantics_are_said_everywhere(semantics, words, options):
    results = [Result.verified(ClosedTree(1, 0.5), semantics=semantics),
               Result.unknown(Reason.INCOMPLETE, semantics=semantics)]
    for result in results:
        assert words in summary(result) and document(options, "unknown", result)["semantics"] == semantics
    assert f"(semantics {semantics})" in summary(Result.falsified(WITNESS, semantics=semantics))
    assert document(replace(options, semantics=semantics), "timed-out")["semantics"] == semantics
