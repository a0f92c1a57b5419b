"""HYDRA: where scores start, what stays frozen, and that learning moves the selection."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.base import Context
from pruning.criteria.hydra import score
from pruning.mask import Mask, tighten


def network() -> nn.Module:
    """Two inputs of which only the second, with the smaller weights, tells the classes apart."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    model[0].weight.data = torch.tensor([[1.0, 0.5], [1.0, -0.5]])
    model[2].weight.data = torch.tensor([[2.0, -2], [-2, 2]])
    return model


def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (64,), generator=generator)
    return torch.stack([torch.rand(64, generator=generator) * 0.2 + 1, 1.0 - 2 * y], 1), y


def test_scores_start_proportional_to_the_weights():
    """sqrt(6 / fan-in) w / max |w|, and no epoch: magnitude within a layer."""
    x, y = images()
    found = score(network(), Context(Mask.ones(network()), x, y, epochs=0))["0.weight"]
    torch.testing.assert_close(found, 3**0.5 * torch.tensor([[1, 0.5], [1, 0.5]]))


def test_learning_finds_the_weights_that_matter():
    x, y = images()
    context = Context(Mask.ones(network()), x, y, remaining=0.5, batch=16, epochs=20, lr=0.05)
    kept = tighten(context.mask, score(network(), context), 0.5).keep["0.weight"]
    assert kept.tolist() == [[False, True], [False, True]]


def test_how_it_learns_is_the_callers_and_weights_are_frozen():
    seen = {}

    def learn(copied: nn.Module, context: Context) -> None:
        seen["trained"] = [name for name, value in copied.named_parameters() if value.requires_grad]
        seen["weight"] = copied[0].weight.detach().clone()
        copied(context.x).sum().backward()
        seen["gradient"] = copied[0].parametrizations.weight[0].scores.grad

    x, y = images()
    score(network(), Context(Mask.ones(network()), x, y, remaining=0.5, learn=learn))
    assert seen["trained"] == ["0.parametrizations.weight.0.scores"]
    assert seen["weight"].tolist() == [[1, 0], [1, 0]], "the best half of the layer, others zero"
    assert seen["gradient"] is not None and seen["gradient"].shape == (2, 2)


def test_pruned_weights_are_not_selected_again():
    x, y = images()
    mask = Mask.ones(network()).narrowed({"0.weight": torch.tensor([[False, True], [True, True]])})
    weights = []
    score(network(), Context(mask, x, y, remaining=0.75, learn=lambda copied, _: weights.append(copied[0].weight)))
    assert weights[0].tolist() == [[0, 0.5], [1, -0.5]]
