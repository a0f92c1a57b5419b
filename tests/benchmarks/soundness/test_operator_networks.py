"""The experiment finds nothing, and would find bounds that are a little too tight and imports that are not the network.
"""

from itertools import islice

import pytest

from benchmarks.soundness import operator_networks
from benchmarks.soundness.operator_networks import run
from benchmarks.soundness.tally import Finding
from tests.soundness.operator_networks import network
from verify.linear_form import LinearForm
from verify.onnx_import import from_bytes
from verify.ops import Curve, Product
from verify.ops.base import LinearOp
from verify.sets import Interval

SEED = 4


def having(op: type, count: int = 6) -> list[int]:
    """Cases whose network has such a primitive; none that alpha-CROWN is tried on, which takes longer."""
    def has(k: int) -> bool:
        return any(isinstance(node.op, op) for node in from_bytes(network((SEED, k)).onnx).graph.nodes)

    return list(islice((k for k in range(200) if k % 4 and has(k)), count))


def findings(cases: list[int]) -> list[Finding]:
    return [finding for k in cases for finding in run(range(k, k + 1), SEED).wrong]


def test_nothing_is_wrong():
    tally = run(range(6), SEED)
    assert tally.tried == 6 and not tally.wrong and tally.counts["boxes"] == 30 and tally.counts["values"] > 10_000
    assert run(range(1, 2), SEED) + run(range(2, 4), SEED) == run(range(1, 4), SEED)


@pytest.mark.parametrize("op", [LinearOp, Curve, Product])
def test_narrow_intervals_are_found(op, monkeypatch):
    cases, honest = having(op), op.interval

    def narrow(self, *inputs: Interval) -> Interval:
        found = honest(self, *inputs)
        return Interval(found.lower, found.upper - 1e-2 * found.width.nan_to_num(posinf=0.0))

    monkeypatch.setattr(op, "interval", narrow)
    assert any("lies" in finding.what for finding in findings(cases))


def test_optimistic_rows_are_found(monkeypatch):
    honest = LinearForm.minimum
    monkeypatch.setattr(LinearForm, "minimum", lambda self, box: honest(self, box) + 0.05)
    wrong = findings([1, 2, 3, 5, 6])
    assert any("below its bound" in finding.what for finding in wrong)
    assert {"network.onnx"} == set(wrong[0].files)


def test_wrong_imports_are_found(monkeypatch):
    """Every product is off by a hundredth."""
    cases, honest = having(Product), Product.evaluate
    monkeypatch.setattr(Product, "evaluate", lambda self, *xs: 1.01 * honest(self, *xs))
    wrong = findings(cases)
    assert any("reference implementation" in finding.what or "onnxruntime" in finding.what for finding in wrong)


def test_errors_are_findings(monkeypatch):
    def fails(*args):
        raise RuntimeError("no bound")

    monkeypatch.setattr(operator_networks, "wrong", fails)
    tally = run(range(1), SEED)
    assert tally.counts["error RuntimeError"] == 1 and "no bound" in tally.wrong[0].what
