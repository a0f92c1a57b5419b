"""Sites of pruned layers, and what they need."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.criteria.base import Context
from pruning.criteria.neurons import Boxes, average
from pruning.layers import Scope
from pruning.mask import Mask
from verify.errors import InvalidInput

X, Y = torch.rand(20, 1, 6, 6, generator=torch.Generator().manual_seed(0)), torch.zeros(20, dtype=torch.long)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.skip = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(1, 4, 1)
        self.relu, self.head = nn.ReLU(), nn.Linear(4 * 36, 2)

    def forward(self, x):
        return self.head(self.relu(self.norm(self.first(x)) + self.skip(x)).flatten(1))


def test_layers_that_are_added_up_share_a_site():
    model = Residual().eval()
    boxes = Boxes.of(model, Context(Mask.ones(model, Scope(), True), X, Y, x_held=X, y_held=Y), "nrs")
    assert [(site.weight, site.relu) for site in boxes.sites] == [("first.weight", "relu"), ("skip.weight", "relu")]


def test_averages_do_not_depend_on_how_images_are_grouped():
    model = Residual().eval()
    context = Context(Mask.ones(model, Scope(), True), X, Y, x_held=X, y_held=Y, eps=0.1)
    found = average(model, context, "x", lambda boxes, box, y: {"w": box.center.expand(-1, -1, 4, -1, -1)})
    mean = ((X - 0.1).clamp(0, 1) + (X + 0.1).clamp(0, 1)).double().mean() / 2
    torch.testing.assert_close(found["w"], mean.expand(4), rtol=1e-6, atol=0)
    total = average(model, context, "x", lambda boxes, box, y: {"w": box.center}, total=True)
    torch.testing.assert_close(total["w"], 36 * found["w"][:1])


def test_a_layer_without_relu_is_named():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AvgPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)).eval()
    with pytest.raises(InvalidInput, match=r"'nrs' needs a ReLU that reads each channel; behind '0.weight'"):
        Boxes.of(model, Context(Mask.ones(model, Scope(), True), X, Y, x_held=X, y_held=Y), "nrs")
