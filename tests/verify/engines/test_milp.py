import pytest
import torch

from tests.verify.engines.problems import query
from tests.verify.engines.test_bab import query as random_query
from verify.budget import Budget
from verify.engines.bab import analyse_root
from verify.engines.base import Settings
from verify.engines.milp import MilpVerifier, Rival
from verify.result import Reason, Verdict


@pytest.mark.parametrize("name", ["mlp", "residual", "maximum"])
def test_complete_on_relu_networks(name):
    holds = MilpVerifier(Settings()).verify(random_query(name, 0.02, which=2), Budget.seconds(20))
    assert holds.verdict is Verdict.VERIFIED and 0 < holds.tree.smallest_margin <= 0.02 + 1e-9
    fails = MilpVerifier(Settings()).verify(random_query(name, -1e-3, which=2), Budget.seconds(5))
    assert fails.verdict is Verdict.UNKNOWN and fails.reason in (Reason.NUMERICS, Reason.TIMEOUT)


def test_the_solver_gives_the_counterexample():
    result = MilpVerifier(Settings()).verify(query("hat", -0.05, torch.float64), Budget.seconds(20))
    assert result.verdict is Verdict.FALSIFIED
    assert result.witness.x[0] == pytest.approx(1.0, abs=0.06)


def test_smooth_networks_are_never_proved_wrongly():
    result = MilpVerifier(Settings()).verify(random_query("tanh", -1e-3), Budget.seconds(3))
    assert result.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(("above", "may_prove", "counts"), [
    (0.05, True, True), (0.05, False, False), (-0.05, False, True),
])
def test_a_rival_that_may_not_prove_only_counts_when_it_refutes(above, may_prove, counts):
    q = query("hat", above, torch.float64)
    state = analyse_root(q, Budget())
    rival = Rival(q, state.network, state.margins, Budget.seconds(20), may_prove)
    try:
        assert rival.result().verdict is not Verdict.UNKNOWN
        assert rival.decided() is counts
    finally:
        rival.close()
