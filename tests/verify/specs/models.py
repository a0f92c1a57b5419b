"""Small networks, and what a question's answer must agree with: dense samples of the stated set, and the model itself
at the reported input."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import nn

from verify.certificate.witness import Network as Runtime
from verify.query import Spec
from verify.result import Result, Verdict
from verify.specs import Asked


def dense(*sizes: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convolution(size: int = 6, classes: int = 3, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * (size - 2) ** 2, classes))


def linear(weight: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias or [0.0] * len(weight)))
    return layer


def outputs(net: nn.Module, points: np.ndarray) -> np.ndarray:
    """In float64, one point a row."""
    with torch.no_grad():
        return net.double()(torch.from_numpy(np.asarray(points, np.float64))).numpy()


def label(net: nn.Module, x) -> int:
    x = torch.as_tensor(x, dtype=torch.float32)
    return int(net.float()(x if x.dim() > 1 else x.unsqueeze(0)).argmax())


def classes(net: nn.Module, points: np.ndarray) -> np.ndarray:
    return outputs(net, points).argmax(1)


def check(question: Asked, unsafe: np.ndarray, timeout: float = 10.0) -> Result:
    """Decides the question. `unsafe`: which samples of the stated set are unsafe; a proof needs none. The model gives
    at the reported input what the witness says."""
    result = question.solve(timeout=timeout)
    if result.verdict is Verdict.VERIFIED:
        assert not unsafe.any()
    if result.verdict is Verdict.FALSIFIED:
        point, size = question.point(result.witness), int(np.prod(question.original.output_shape))
        runtime = Runtime(question.original.onnx, Spec(point.size, size, ()), optimised=False)
        np.testing.assert_allclose(runtime.run(point.reshape(-1)), result.witness.y[:size], atol=1e-5)
    return result
