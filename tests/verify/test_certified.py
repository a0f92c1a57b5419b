from pathlib import Path

import pytest

import verify
from verify.budget import Budget
from verify.certificate.checker.check import check
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.stream import open_container
from verify.certified import Sources, solve_certified
from verify.errors import InvalidInput
from verify.pipeline import load_problem
from verify.result import Reason, Verdict

EXAMPLES = Path(__file__).parents[2] / "examples"
NETWORK = EXAMPLES / "digits_mlp.onnx"
HOLDS, VIOLATED = EXAMPLES / "digits_mlp_holds.vnnlib", EXAMPLES / "digits_mlp_violated.vnnlib"


@pytest.mark.parametrize("semantics", ["real", "float32"])
def test_unsat_comes_with_a_proof_that_the_checker_accepts(tmp_path, semantics):
    path = tmp_path / "p.proof"
    result = verify.verify(NETWORK, HOLDS, semantics=semantics, proof=path)
    assert result.verdict is Verdict.VERIFIED and result.proof.path == str(path)
    assert result.proof.bytes == path.stat().st_size
    report = check(NETWORK.read_bytes(), HOLDS.read_bytes(), open_container(path))
    assert (report.semantics, report.leaves) == (semantics, result.proof.leaves)
    assert report.smallest_margin == result.proof.smallest_margin > 0
    with pytest.raises(Rejected):
        check(NETWORK.read_bytes(), VIOLATED.read_bytes(), open_container(path))


def test_a_counterexample_needs_no_proof(tmp_path):
    path = tmp_path / "p.proof"
    result = verify.verify(NETWORK, VIOLATED, proof=path)
    assert result.verdict is Verdict.FALSIFIED and result.proof is None and not path.exists()


def test_without_a_proof_there_is_no_unsat(tmp_path):
    """A solver's word cannot be checked; neither can what there was no time to write down."""
    path = tmp_path / "p.proof"
    result = verify.verify(NETWORK, HOLDS, method="milp", proof=path)
    assert result.verdict is Verdict.UNKNOWN and result.reason is Reason.PROOF and "milp" in result.detail
    assert not list(tmp_path.iterdir())


def test_a_budget_that_ends_while_the_proof_is_written(tmp_path, monkeypatch):
    from verify.certificate.emit import leaves

    prove = leaves.Leaves.prove
    monkeypatch.setattr(leaves.Leaves, "prove",
                        lambda self: (setattr(self, "budget", Budget(deadline=0.0)), prove(self)))
    sources = Sources.of(NETWORK, HOLDS, tmp_path / "p.proof")
    result = solve_certified(load_problem(NETWORK, HOLDS), sources)
    assert result.verdict is Verdict.UNKNOWN and result.reason is Reason.PROOF and "time" in result.detail
    assert not list(tmp_path.iterdir())


def test_what_a_proof_can_be_about(tmp_path):
    spec = verify.read_spec(HOLDS)
    with pytest.raises(InvalidInput, match="about files"):
        verify.verify(NETWORK, spec, proof=tmp_path / "p")
    with pytest.raises(InvalidInput, match="existing folder"):
        verify.verify(NETWORK, HOLDS, proof=tmp_path / "nowhere" / "p")
    with pytest.raises(InvalidInput, match="cannot read"):
        verify.verify(NETWORK, tmp_path / "missing.vnnlib", proof=tmp_path / "p")


def test_a_proof_covers_properties_of_version_1_only(tmp_path):
    """A query that names its tensors is decided, but not proved for others to check."""
    names = [f"X[0,0,{k // 8},{k % 8}]" for k in range(64)]
    limits = "".join(f"(assert (and (<= 0.0 {name}) (<= {name} 0.001)))" for name in names)
    tensors = "(declare-input X float32 [1,1,8,8])(declare-output Y float32 [1,10])"
    text = f"(vnnlib-version <2.0>)(declare-network f {tensors}){limits}(assert (>= Y[0,0] 1000.0))"
    (tmp_path / "q.vnnlib").write_text(text)
    result = verify.verify(NETWORK, tmp_path / "q.vnnlib", proof=tmp_path / "p.proof")
    assert result.verdict is Verdict.UNKNOWN and result.reason is Reason.PROOF and "VNN-LIB 1.0" in result.detail
    assert result.semantics == "float32" and not (tmp_path / "p.proof").exists()
    assert verify.verify(NETWORK, tmp_path / "q.vnnlib").verdict is Verdict.VERIFIED
