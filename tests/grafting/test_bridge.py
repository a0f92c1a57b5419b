"""The bridge: bounds enclose what sampling finds, the claim is passed on only where it holds, and both cases occur."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from grafting.bridge import margin_difference, output_distance, product, row_bounds, transfer
from grafting.graft import graft
from tests.grafting.test_graft import nothing, some
from tests.grafting.toys import SHAPE, conv, images, mlp
from verify.budget import Budget
from verify.errors import ShapeMismatch
from verify.onnx_import.module import from_module
from verify.ops import Relu
from verify.properties import robustness
from verify.result import Verdict


def networks(build, share: float, seed: int = 0):
    model = build(seed)
    changed = graft(model, SHAPE, some(model, share, seed), calibration=images(100))
    return model.eval(), changed.eval(), *(from_module(m, input_shape=(1, *SHAPE)) for m in (model, changed))


def points(x, eps: float, count: int = 2000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    moves = (torch.rand(count, *SHAPE, generator=generator) * 2 - 1) * eps
    moves[::2] = moves[::2].sign() * eps
    return (x + moves).clamp(0, 1)


@pytest.mark.parametrize("build", [mlp, conv])
@pytest.mark.parametrize("seed", range(3))
def test_bounds_enclose_the_difference(build, seed):
    model, changed, f, g = networks(build, 0.4, seed)
    x, eps = images(1, seed + 5), 0.05
    label = int(model(x).argmax())
    box = robustness(x, eps, label, 3, (0, 1)).cases[0].box
    low, high = output_distance(f, g, box)
    with torch.no_grad():
        d = (model.double()(points(x, eps).double()) - changed.double()(points(x, eps).double()))
    assert (low <= d.amin(0)).all() and (d.amax(0) <= high).all() and (high - low < 5).all()
    rows = [margin_difference(label, j, 3) for j in range(3) if j != label]
    bounds = row_bounds(product(f.graph, g.graph), box, rows, Budget())
    for bound, j in zip(bounds, (j for j in range(3) if j != label), strict=True):
        assert bound <= (d[:, label] - d[:, j]).min()
        assert bound >= low[label] - high[j] - 1e-9  # at least as good as both outputs on their own


def test_equal_networks_cancel():
    _, _, f, _ = networks(mlp, 0.0)
    low, high = output_distance(f, f, robustness(images(1), 0.3, 0, 3, (0, 1)).cases[0].box)
    assert (low <= 0).all() and (high >= 0).all() and (high - low).max() < 1e-9


def test_what_both_have_is_there_once():
    model = mlp()
    selection = nothing(model)
    selection["4"][:5] = True
    changed = graft(model, SHAPE, selection, "paper")
    f, g = (from_module(m, input_shape=(1, *SHAPE)) for m in (model, changed))
    both = product(f.graph, g.graph)
    assert sum(isinstance(node.op, Relu) for node in both.nodes) == 2  # relu(z keep) is keep relu(z)
    x = images(20).double()
    y = both.evaluate(x.unsqueeze(1))
    assert torch.allclose(y, torch.cat([model.double()(x), changed.double()(x)], 1), atol=1e-5)


def test_a_claim_is_passed_on_where_that_suffices_and_only_there():
    """The original is checked on its own by the complete verifier."""
    from verify.pipeline import Problem, solve

    model, _, f, g = networks(conv, 0.2)
    outcomes = []
    for x in images(3, 3).split(1):
        label = int(model(x).argmax())
        for eps in (0.01, 0.3):
            found = transfer(f, g, x, eps, label, timeout=1.0)
            own = solve(Problem(f, robustness(x, eps, label, 3, (0, 1))), budget=Budget.seconds(1.0))
            outcomes.append(found.certified)
            assert own.verdict is not Verdict.FALSIFIED or not found.certified
            assert ("does not suffice" in found.reason) != found.certified
    assert any(outcomes) and not all(outcomes)


def test_a_grafted_network_that_is_robust_says_nothing_alone():
    """The grafted network answers 0 everywhere; the original does not, and nothing may be passed on."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[3].weight.copy_(torch.tensor([[0.0] * 4, [5.0] * 4]))
        model[3].bias.copy_(torch.tensor([0.1, 0.0]))
    changed = graft(model, SHAPE, {"2": torch.ones(4, dtype=torch.bool)}, "zero")
    f, g = (from_module(m.eval(), input_shape=(1, *SHAPE)) for m in (model, changed))
    found = transfer(f, g, torch.full((1, *SHAPE), 0.5), 0.5, 0, timeout=5.0)
    assert not found.certified and found.result.verdict is not Verdict.VERIFIED


def test_networks_must_fit():
    _, _, f, _ = networks(mlp, 0.0)
    other = from_module(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), input_shape=(1, *SHAPE))
    with pytest.raises(ShapeMismatch, match="same inputs and outputs"):
        product(f.graph, other.graph)
