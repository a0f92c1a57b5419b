"""Faults reach their places, for as long as they are wanted."""

import numpy as np
import pytest
import torch

from benchmarks.soundness.injection import (
    ALLOCATING,
    LIES,
    NAN_PLACES,
    blind,
    failing,
    locate,
    lying_backend,
    poisoned,
    wrapped,
)
from benchmarks.soundness.questions import ask
from tests.soundness.random_networks import problem
from verify.lp.model import LinearProgram, SolveStatus
from verify.lp.safe import safe_lower_bound


@pytest.mark.parametrize("place", [*ALLOCATING, *NAN_PLACES, "verify.lp.leaf.default_backend"])
def test_every_place_exists(place):
    owner, name = locate(place)
    assert callable(getattr(owner, name))


def test_an_unknown_place_is_an_error():
    with pytest.raises(AttributeError, match=r"nothing"):
        locate("verify.bounds.root.nothing")


def test_the_second_call_fails_and_later_ones_do_not():
    honest = torch.cat
    with failing("torch.cat", 2, lambda: MemoryError()) as calls:
        torch.cat([torch.ones(1)])
        with pytest.raises(MemoryError):
            torch.cat([torch.ones(1)])
        torch.cat([torch.ones(1)])
    assert calls == [3] and torch.cat is honest


def test_wrapping_is_undone_after_an_error():
    honest = torch.Tensor.clone
    with pytest.raises(ValueError), wrapped("torch.Tensor.clone", lambda function: None):
        raise ValueError
    assert torch.Tensor.clone is honest


def test_blind_verifiers_confirm_nothing():
    p = next(p for p in map(problem, range(20)) if p.unsafe is not None)
    assert ask(p.onnx, p.spec, "bab", 5.0).verdict == "sat"
    with blind():
        assert ask(p.onnx, p.spec, "bab", 0.5).verdict in ("unknown", "timed-out")
    assert ask(p.onnx, p.spec, "bab", 5.0).verdict == "sat"


def test_poison():
    rng = np.random.default_rng(0)
    spoiled = [poisoned(torch.zeros(3, 4), rng) for _ in range(20)]
    assert any(bool(values.isnan().any()) for values in spoiled)
    assert torch.equal(poisoned(torch.ones(3, dtype=torch.int8), rng), torch.ones(3, dtype=torch.int8))


@pytest.mark.parametrize("lie", LIES)
def test_lies_give_no_false_bound(lie):
    """min x + y, x + y >= 1, in [0, 2]^2: the optimum is 1, whatever the solver says."""
    program = LinearProgram.from_matrix([1, 1], [[1, 1]], [1], [np.inf], [0, 0], [2, 2])
    backend = lying_backend(lie, np.random.default_rng(0))
    answers = [backend.lp(program, 1.0) for _ in range(20)]
    assert all(safe_lower_bound(program, answer.row_duals) <= 1 for answer in answers)
    assert lie != "infeasible" or any(answer.status is SolveStatus.INFEASIBLE for answer in answers)
    assert backend.milp(program, 1.0, 1, 0.0, 0.0).dual_bound == -np.inf
