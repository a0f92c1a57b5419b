"""The structure that pruning relies on: scopes, normalisations, ReLUs, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.layers import Scope, layers, parameter, prunable
from verify.errors import InvalidInput, UnsupportedOperator


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(),
                         nn.Linear(96, 5), nn.ReLU(), nn.Linear(5, 3))


class Residual(nn.Module):
    """Two convolutions whose sum is read by one ReLU."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.skip = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(1, 4, 1)
        self.head = nn.Linear(4 * 9, 2)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)) + self.skip(x))
        return self.head(x.flatten(1))


def names(model, *scope, structured=False):
    return [layer.weight for layer in prunable(model, Scope(*scope), structured)]


def test_layers_know_their_normalisation_and_relu():
    first, second, hidden, last = layers(convolutional())
    assert (first.norm, first.relu, first.channels, first.kind) == ("1", "2", 4, "conv")
    assert (second.norm, second.relu, second.bias) == (None, "4", True)
    assert (hidden.relu, last.relu, last.kind) == ("7", None, "linear")
    assert first.along() == ("0.bias", "1.weight", "1.bias")


def test_the_relu_is_found_through_sums():
    first, skip, head = layers(Residual())
    assert first.norm == "norm" and first.relu == skip.relu == "relu"
    assert head.relu is None


def test_scopes():
    model = convolutional()
    assert names(model, "conv") == ["0.weight", "3.weight"]
    assert names(model, "all") == ["0.weight", "3.weight", "6.weight"]
    assert names(model, "all", True) == ["3.weight", "6.weight"]
    assert names(model, "conv", False, True) == ["0.weight"]
    linear = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    assert names(linear, "conv") == ["0.weight", "2.weight"], "no convolution: the hidden linear layers"


def test_channels_of_the_output_are_never_prunable():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    assert names(model) == ["0.weight", "2.weight"]
    assert names(model, structured=True) == ["0.weight"]


@pytest.mark.parametrize(("model", "message"), [
    (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=False), nn.ReLU(), nn.Conv2d(4, 2, 1)), "'1', which"),
    (nn.Sequential(nn.Flatten()), "no convolution"),
    (nn.Sequential(nn.Linear(3, 2)), "nothing to prune"),
])
def test_what_cannot_be_removed_is_refused_by_name(model, message):
    with pytest.raises(InvalidInput, match=message):
        prunable(model, Scope(), True)


def test_a_layer_used_twice_keeps_its_channels():
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(InvalidInput, match="used 2 times"):
        prunable(model, Scope(), True)
    assert names(model) == ["0.weight"]


def test_a_layer_that_something_besides_its_normalisation_reads():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.norm, self.last = nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)

        def forward(self, x):
            z = self.layer(x)
            return self.last(torch.relu(self.norm(z)) + z)

    with pytest.raises(InvalidInput, match="'layer' cannot be removed"):
        prunable(Both(), Scope(), True)


def test_control_flow_is_refused():
    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(UnsupportedOperator, match="Branches cannot be traced"):
        layers(Branches())


def test_unknown_scope_and_parameter():
    with pytest.raises(InvalidInput, match="conv, all"):
        Scope("everything")
    with pytest.raises(InvalidInput, match=r"no parameter '9.weight'"):
        parameter(convolutional(), "9.weight")
