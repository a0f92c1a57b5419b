import pytest
import torch

from tests.verify.bounds.laws import roots
from verify.bounds.lines import Cuts, DualLines


@pytest.mark.parametrize("name", ["mlp", "mixed", "product", "curves", "attention"])
def test_lines_on_smaller_ranges_are_those_of_smaller_networks(name):
    for _, _, _, root in roots([name], dtypes=(torch.float64,), which=(1,)):
        net = root.network
        lower = net.lower + 0.25 * (net.upper - net.lower)
        whole, some = DualLines.of(net), DualLines.of(net, lower.expand(3, -1), net.upper.expand(3, -1))
        assert whole.lower_slope.shape == (net.readings,) and some.lower_slope.shape == (3, net.readings)
        assert whole.start.shape == (net.unstable,) and whole.pre_lower.shape == (net.arguments,)
        one = some[torch.tensor([1])]
        assert torch.equal(one.pre_lower[0], lower) and torch.equal(one.upper_slope[0], some.upper_slope[1])
        assert bool((whole.steepness >= whole.upper_slope.abs()).all())


def test_cuts_allow_multipliers_only_where_they_cut():
    inf = float("inf")
    cuts = Cuts(torch.tensor([[-inf, 1.0, -inf, 0.0]]), torch.tensor([[2.0, inf, inf, 3.0]]))
    beta = torch.tensor([[1.0, 1.0, 1.0, 1.0]])
    assert cuts.legal(beta).tolist() == [[0.0, 1.0, 0.0, 1.0]]
    assert cuts.legal(-beta).tolist() == [[-1.0, 0.0, 0.0, -1.0]]
    assert cuts.offset(torch.tensor([[-2.0, 3.0, 0.0, 0.0]])).tolist() == [[-4.0, 3.0, 0.0, 0.0]]


def test_multipliers_rise_where_a_cut_is_violated():
    cuts = Cuts(torch.tensor([[0.0]]), torch.tensor([[1.0]]))
    zero = torch.zeros(1, 1)
    assert float(cuts.gradient(zero, torch.tensor([[-2.0]]))) == 2.0
    assert float(cuts.gradient(zero, torch.tensor([[3.0]]))) == -2.0
    assert float(cuts.gradient(zero, torch.tensor([[0.5]]))) == 0.0


def test_cuts_move_to_float32_outward():
    cuts = Cuts(torch.tensor([[0.1]], dtype=torch.float64), torch.tensor([[0.3]], dtype=torch.float64))
    there = cuts.to(torch.float32)
    assert float(there.low) <= 0.1 and float(there.high) >= 0.3
