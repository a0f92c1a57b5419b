"""Modules take the same way as files, and come back as they were."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import import compare_with_onnxruntime, from_module, simplify


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(16, 8),
        nn.BatchNorm1d(8),
        nn.LeakyReLU(0.1),
        nn.Linear(8, 3),
    )
    module(torch.randn(9, 1, 8, 8))
    return module


class Positions(nn.Module):
    """Exported, but with an output of unknown shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nonzero(x).float()


class RootMeanSquare(nn.Module):
    """Only the newer exporter knows its normalisation."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.RMSNorm(4), nn.Linear(4, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def test_same_values_as_the_module_in_eval_mode():
    module = convolutional()
    module[1].eval()
    before = [part.training for part in module.modules()]
    network = from_module(module, input_shape=(1, 1, 8, 8))
    assert [part.training for part in module.modules()] == before
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    assert compare_with_onnxruntime(network, x.unsqueeze(1)) < 1e-5
    expected = module.eval().double()(x.double())
    assert torch.allclose(network.graph.evaluate(x.double().unsqueeze(1)).squeeze(1), expected, atol=1e-5)
    assert network.source == "Sequential" and network.input_shape == (1, 1, 8, 8) and network.output_shape == (1, 3)


def test_example_input_and_double_parameters():
    network = from_module(nn.Linear(3, 2).double(), torch.ones(1, 3))
    assert network.double and network.output_shape == (1, 2)


def test_batch_normalisation_folds_away():
    names = [
        type(node.op).__name__ for node in simplify(from_module(convolutional(), torch.zeros(1, 1, 8, 8)).graph).nodes
    ]
    # What is left are the two terms of the leaky ReLU.
    assert names.count("Affine") <= 2 and names.count("Relu") == 4


def test_the_newer_exporter_where_the_older_one_fails():
    module = RootMeanSquare()
    network = from_module(module, input_shape=(1, 3))
    x = torch.randn(3, 1, 3, generator=torch.Generator().manual_seed(1))
    assert compare_with_onnxruntime(network, x) < 1e-5
    assert torch.allclose(network.graph.evaluate(x.double()), module.double()(x.double()), atol=1e-5)


def test_errors():
    with pytest.raises(InvalidInput, match="shape"):
        from_module(nn.Linear(2, 2))
    with pytest.raises(UnsupportedOperator, match="Linear cannot be exported"):
        from_module(nn.Linear(2, 2), input_shape=(1, 3))
    with pytest.raises(UnsupportedOperator, match="NonZero"):
        from_module(Positions(), input_shape=(1, 3))
