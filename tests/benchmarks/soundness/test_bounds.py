"""The experiment on bounds finds nothing, and each method would be found out if it were too optimistic."""

import pytest
import torch

from benchmarks.soundness import bounds
from benchmarks.soundness.bounds import BOXES, METHODS, excess, run, subject
from verify.bounds.dual import DualProblem
from verify.linear_form import LinearForm

GROUP = BOXES * len(METHODS)


def test_nothing_is_wrong():
    tally = run(range(5 * GROUP), 1)
    assert tally.tried == 5 * GROUP and not tally.wrong and not tally.counts


def test_excess():
    values = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    assert float(excess(values - 1, values)) < 0
    assert float(excess(values + torch.tensor([0.0, 0.5]), values)) > 0.4
    assert float(excess(torch.tensor([[torch.nan, 0.0]]), values)) == float("inf")
    assert float(excess(torch.tensor([[-torch.inf, 0.0]]), values)) <= 0


def test_subjects_are_of_all_kinds():
    kinds = {(subject(k, 0).onnx is None, subject(k, 0).dtype) for k in range(12)}
    assert len(kinds) == 4


@pytest.mark.parametrize("owner, name", [(LinearForm, "minimum"), (DualProblem, "rigorous")])
def test_optimistic_bounds_are_found(owner, name, monkeypatch):
    honest = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args, **kwargs: honest(*args, **kwargs) + 0.1)
    assert len(run(range(8 * GROUP), 1).wrong) > 20


def test_a_wrong_split_is_found(monkeypatch):
    """A dual that takes active neurons for inactive ones."""
    honest = DualProblem.rigorous
    monkeypatch.setattr(DualProblem, "rigorous", lambda self, params, signs=None, *rest: honest(
        self, params, None if signs is None else -signs, *rest))
    cases = [k for k in range(16 * GROUP) if tuple(METHODS)[k // BOXES % len(METHODS)] == "dual"]
    assert any(run(range(k, k + 1), 1).wrong for k in cases)


def test_errors_are_counted_not_wrong(monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError("no bound")

    monkeypatch.setattr(bounds, "crown", fails)
    tally = run(range(GROUP), 1)
    assert not tally.wrong and tally.counts["float32: error RuntimeError"] == 1
