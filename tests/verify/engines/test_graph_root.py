import pytest
import torch

from tests.bab.test_relu_split import query
from tests.verify.bounds.networks import low_points
from verify.budget import Budget
from verify.engines.bab import BabVerifier, analyse_root, choose_plan
from verify.engines.base import Settings
from verify.engines.graph_root import graph_root
from verify.result import Reason, Verdict


@pytest.mark.parametrize("name", ["mlp", "conv", "mixed", "product", "curves", "attention"])
def test_rows_are_below_every_point_and_not_looser_than_the_collapsed_root(name):
    q = query(name, 1, which=1)
    root, margins = graph_root(q, Budget.seconds(20))
    rows = torch.eye(q.rows, dtype=torch.float64)
    lowest = low_points(q.graph, q.interval(), rows, 400)[0]
    assert root.network is None and bool((root.row_lower <= lowest + 1e-9).all())
    collapsed = analyse_root(q, Budget())
    assert bool((margins >= collapsed.margins - 1e-6 * (1 + collapsed.margins.abs())).all())


def test_no_time_is_told():
    with pytest.raises(TimeoutError):
        graph_root(query("mlp", 1), Budget.seconds(0))


def test_what_cannot_be_collapsed_is_bounded_on_the_graph():
    q = query("curves", 1, which=1)
    small = Budget(memory_bytes=100)
    state = analyse_root(q, small)
    assert state.network is None and bool(torch.isfinite(state.margins).all())
    assert choose_plan(q, state.root).modes == ("input",)  # few inputs can be cut without a collapsed network


def test_many_inputs_without_a_collapsed_network_end_in_unknown_with_the_reason():
    q = query("conv", 1, which=2)
    wide = BabVerifier(Settings()).verify(q, Budget(memory_bytes=100))
    if len(q.varying) > 20:
        assert wide.verdict is Verdict.UNKNOWN and wide.reason is Reason.INCOMPLETE
    else:
        assert wide.verdict in (Verdict.UNKNOWN, Verdict.VERIFIED)
