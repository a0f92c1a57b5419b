"""The command line of the checker: words, exit codes, files. `check` is a stub; the proofs are real files."""

import gzip
import hashlib
import json
import math
import sys
import types
from dataclasses import dataclass, replace

import pytest

from verify.certificate.checker.cli import main
from verify.certificate.checker.errors import Rejected
from verify.certificate.emit.container import write_container

NETWORK, SPEC = b"the network", b"the property"


@dataclass(frozen=True)
class Report:
    semantics: str = "real"
    cases: int = 1
    disjuncts: int = 9
    trees: int = 1
    leaves: int = 4
    checked: int = 4
    smallest_margin: float = 0.0125
    deepest: int = 3
    body_bytes: int = 77
    seconds: float = 0.25


class Stub:
    """Stands in for the module `check`: remembers its arguments, returns or raises what it was told."""

    def __init__(self) -> None:
        self.result: Report | BaseException = Report()
        self.calls: list[tuple] = []

    def check(self, network, spec, container, arithmetic, sample, progress):
        self.calls.append((network, spec, container.header.claim, arithmetic, sample))
        progress(2)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def stub(monkeypatch) -> Stub:
    made = Stub()
    module = types.ModuleType("verify.certificate.checker.check")
    module.check = made.check
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return made


@pytest.fixture
def files(tmp_path):
    """Arguments NET SPEC PROOF of a proof that fits."""
    return write(tmp_path)


def write(folder, semantics: str = "real", network: bytes = NETWORK, spec: bytes = SPEC) -> list[str]:
    (folder / "net.onnx").write_bytes(NETWORK)
    (folder / "spec.vnnlib.gz").write_bytes(gzip.compress(SPEC))
    header = {"claim": "unsat", "network_sha256": hashlib.sha256(network).hexdigest(), "cases": 1, "leaves": 4,
              "spec_sha256": hashlib.sha256(spec).hexdigest(), "semantics": semantics, "tool": "verify 0.1.0"}
    with (folder / "proof").open("wb") as file:
        write_container(file, header, [b"\x00"])
    return [str(folder / name) for name in ("net.onnx", "spec.vnnlib.gz", "proof")]


def test_accepted(stub, files, capsys):
    assert main(files) == 0
    out, err = capsys.readouterr()
    first, paragraph = out.splitlines()
    assert first == "accepted" and err == ""
    for part in ("Proved: no input of the unsafe set exists", hashlib.sha256(NETWORK).hexdigest(),
                 hashlib.sha256(SPEC).hexdigest(), "exact real numbers", "Not covered", "disjuncts: 9",
                 "leaves: 4 (checked: 4", "smallest margin 0.0125", "arithmetic float64", "0.25 s"):
        assert part in paragraph
    assert stub.calls == [(NETWORK, SPEC, "unsat", "float64", None)]


def test_float32_semantics_in_words(stub, tmp_path, capsys):
    assert main(write(tmp_path, "float32")) == 0
    out = capsys.readouterr().out
    for part in ("Semantics float32", "any association", "with or without FMA", "TF32", "Winograd", "quantised"):
        assert part in out


def test_options_reach_the_checker_and_quiet_says_one_word(stub, files, capsys):
    stub.result = replace(Report(), checked=2)
    assert main([*files, "--arithmetic", "dyadic", "--sample", "2", "-q"]) == 3
    assert capsys.readouterr() == ("sampled\n", "")
    assert stub.calls[0][3:] == ("dyadic", 2)


def test_a_sample_of_all_leaves_is_still_a_sample(stub, files, capsys):
    assert main([*files, "--sample", "100"]) == 3
    first, paragraph = capsys.readouterr().out.splitlines()
    assert first == "sampled" and paragraph.startswith("NOT proved")


def test_rejected(stub, files, capsys):
    stub.result = Rejected("a leaf at depth 3 has the bound -1,\nwhich is not above 0")
    assert main(files) == 1
    assert capsys.readouterr() == ("rejected\n", "rejected: a leaf at depth 3 has the bound -1, which is not above 0\n")


@pytest.mark.parametrize("report", [
    Report(checked=3), Report(smallest_margin=0.0), Report(smallest_margin=-1.0), Report(smallest_margin=math.nan),
])
def test_a_report_that_is_no_acceptance(stub, files, capsys, report):
    stub.result = report
    assert main(files) == 1
    assert capsys.readouterr().out == "rejected\n"


def test_only_empty_boxes(stub, files, capsys, tmp_path):
    stub.result = Report(leaves=0, checked=0, smallest_margin=math.inf)
    assert main([*files, "--json", str(tmp_path / "out.json")]) == 0
    assert "every box is empty" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["smallest_margin"] is None


@pytest.mark.parametrize(("changed", "word"), [({"network": b"other"}, "network"), ({"spec": b"other"}, "property")])
def test_a_proof_of_something_else(stub, tmp_path, capsys, changed, word):
    assert main(write(tmp_path, **changed)) == 1
    out, err = capsys.readouterr()
    assert out == "rejected\n" and f"the proof is about another {word}" in err and not stub.calls


def test_the_hash_is_that_of_the_decompressed_bytes(stub, tmp_path, capsys):
    arguments = write(tmp_path, spec=gzip.compress(SPEC))
    assert main(arguments) == 1
    assert "another property" in capsys.readouterr().err


def test_a_damaged_proof(stub, files, tmp_path, capsys):
    data = bytearray((tmp_path / "proof").read_bytes())
    data[60] ^= 1
    (tmp_path / "proof").write_bytes(data)
    assert main(files) == 1
    out, err = capsys.readouterr()
    assert out == "rejected\n" and "digest" in err and not stub.calls


@pytest.mark.parametrize("position", range(3))
def test_unreadable_files(stub, files, tmp_path, capsys, position):
    for path in (tmp_path / "gone", tmp_path):
        arguments = list(files)
        arguments[position] = str(path)
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("error: cannot read:") and err.count("\n") == 1


def test_damaged_gzip(stub, files, tmp_path, capsys):
    whole = gzip.compress(SPEC * 50)
    for damaged in (whole[:-5], whole[:12] + b"\xff" * 9, whole[:2], whole + b"x"):
        (tmp_path / "spec.vnnlib.gz").write_bytes(damaged)
        assert main(files) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("error: ")


@pytest.mark.parametrize("arguments", [
    [], ["a"], ["a", "b"], ["a", "b", "c", "d"], ["a", "b", "c", "--arithmetic", "real"], ["a", "b", "c", "--sample"],
    ["a", "b", "c", "--sample", "0"], ["a", "b", "c", "--sample", "-1"], ["a", "b", "c", "--sample", "1%"],
    ["a", "b", "c", "--unknown"],
])
def test_usage(stub, arguments, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and "usage: verify check" in err and "Traceback" not in err


def test_help(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: verify check") and "0 accepted, 1 rejected" in out


@pytest.mark.parametrize("error", [
    IndexError("list index\nout of range"), MemoryError(), RecursionError("too deep"),
    UnicodeDecodeError("utf-8", b"a", 0, 1, "x"), ZeroDivisionError("0/0"), AssertionError(),
])
def test_a_bug_is_never_a_verdict(stub, files, capsys, tmp_path, error):
    stub.result = error
    assert main([*files, "--json", str(tmp_path / "out.json")]) == 70
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: internal error") and err.count("\n") == 1
    assert json.loads((tmp_path / "out.json").read_text())["verdict"] == "error"


def test_an_interruption_is_no_verdict(stub, files, capsys):
    stub.result = KeyboardInterrupt()
    assert main(files) == 130
    assert capsys.readouterr() == ("", "error: interrupted\n")


def test_json(stub, files, capsys, tmp_path):
    path = tmp_path / "out.json"
    assert main([*files, "--json", str(path)]) == 0
    content = json.loads(path.read_text())
    assert content["verdict"] == "accepted" and content["semantics"] == "real" and content["arithmetic"] == "float64"
    assert content["network_sha256"] == hashlib.sha256(NETWORK).hexdigest() and content["smallest_margin"] == 0.0125
    assert (content["leaves"], content["checked"], content["tool"]) == (4, 4, "verify 0.1.0")
    stub.result = Rejected("no")
    assert main([*files, "--json", str(path)]) == 1
    assert json.loads(path.read_text()) == {"verdict": "rejected", "reason": "rejected: no"}


def test_a_result_that_cannot_be_written_is_not_announced(stub, files, capsys, tmp_path):
    assert main([*files, "--json", str(tmp_path / "no" / "out.json")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: cannot write") and err.count("\n") == 1
