"""What is translated, in every spelling, and what is refused."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from verify.errors import UnsupportedOperator
from verify.live import LiveNetwork


class Applied(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function, self.fc = function, nn.Linear(4, 4)

    def forward(self, x):
        return self.function(self.fc(x))


def test_what_has_no_bounds_is_refused_by_name():
    cases = {
        r"layer '1' \(MaxPool2d\): has no bounds": nn.Sequential(nn.Conv2d(2, 2, 1), nn.MaxPool2d(2)),
        r"layer '0' \(Conv2d\): padding mode 'circular'": nn.Sequential(
            nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")),
        r"layer '0' \(AdaptiveAvgPool2d\): pools to \[2, 2\]": nn.Sequential(nn.AdaptiveAvgPool2d(2)),
        r"layer '0' \(AvgPool2d\): windows of unequal": nn.Sequential(nn.AvgPool2d(3, ceil_mode=True)),
    }
    for message, module in cases.items():
        with pytest.raises(UnsupportedOperator, match=message):
            LiveNetwork(module, (2, 4, 4))
    functions = {
        r"operation 'mul' \(mul\): both factors": lambda y: y * y,
        r"operation 'exp' \(exp\): has no bounds": torch.exp,
        r"Applied computes something else than its trace shows": _alias,
        r"operation 'relu' \(relu\): changes in place": lambda y: F.relu(y, inplace=True) + y,
        r"operation 'add' \(add\): a constant of shape \[3, 4\]": lambda y: y + torch.ones(3, 4),
        r"operation 'truediv' \(truediv\): a quotient": lambda y: 1 / y,
        r"operation 'cat' \(cat\): joins along the batch": lambda y: torch.cat([y, y], 0),
        r"operation 'view' \(view\): does not fit": lambda y: y.view(-1, 3),
        r"operation 'reshape' \(reshape\): the result \[2, 2\] does not keep": lambda y: y.reshape(2, 2),
        r"must return one tensor": lambda y: (y, y),
        r"Applied cannot be traced": lambda y: y if y.sum() > 0 else -y,
    }
    for message, function in functions.items():
        with pytest.raises(UnsupportedOperator, match=message):
            LiveNetwork(Applied(function), (4,))


def _alias(y):
    before = after = y + 1
    after += 1
    return after + before


def test_every_spelling_has_the_values_of_torch():
    weight, bias, kernel = torch.randn(3, 4), torch.randn(3), torch.randn(2, 1, 3, 2)
    functions = {
        "linear": lambda y: F.linear(y, weight, bias), "no bias": lambda y: F.linear(y, weight),
        "conv": lambda y: torch.conv2d(y.view(y.shape[0], 1, 2, 2), kernel, None, 1, (1, 1)).flatten(1),
        "conv keywords": lambda y: F.conv2d(y.reshape(-1, 1, 2, 2), weight=kernel, bias=bias[:2], padding="same",
                                            dilation=(1, 2)).flatten(1),
        "pool": lambda y: torch.flatten(F.avg_pool2d(y.view((-1, 1, 2, 2)), 2, stride=1, padding=1), 1),
        "sizes": lambda y: y.view(y.size()[0], 2, y.size(1) // 2).reshape(y.size(dim=0), -1),
        "rank": lambda y: y.flatten(y.dim() - 1) + y.ndim,
        "sums": lambda y: (2 - y).sub(y).add(1) + torch.add(y, 0.5) - torch.sub(y, bias.sum()),
        "products": lambda y: -(2 * y.mul(3) * torch.arange(4.0)).div(2) / weight[0].exp(),
        "dropout": lambda y: F.dropout(y, 0.5, False).contiguous().neg().relu(),
        "moves": lambda y: y.view(-1, 2, 1, 2).permute(0, 3, 1, 2).reshape(-1, 4),
        "axes": lambda y: y.view(-1, 2, 2).sum(2, keepdim=True).flatten(1) * torch.ones(1, 2),
        "parts": lambda y: torch.index_select(F.pad(y, (1, 2), "constant", 0.5), 1, torch.tensor([6, 0, 1, 1, 4])),
        "smooth": lambda y: torch.sigmoid(y).tanh(),
        "in place": lambda y: F.relu(y * 1, inplace=True),
    }
    x = torch.randn(3, 4)
    for name, function in functions.items():
        live = LiveNetwork(Applied(function).eval(), (4,))
        assert torch.allclose(live.graph().evaluate(x.unsqueeze(1)).squeeze(1), live.module(x), atol=1e-5), name


def test_layers_that_torch_derives_from_its_own():
    class Masked(nn.Conv2d):
        def forward(self, x):
            return self._conv_forward(x, self.weight * (self.weight > 0), self.bias)

    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, (3, 2), padding="valid", dilation=(2, 1)))
    module = nn.Sequential(nn.Unflatten(1, (2, 7)), nn.Unflatten(2, (7, 1)), nn.ReLU(inplace=True), nn.Flatten(),
                           nn.Unflatten(1, (2, 7, 1)), Masked(2, 2, 3, padding=2), conv, nn.AvgPool2d(2, 1, 1))
    live, x = LiveNetwork(module, (14,)), torch.rand(2, 14)
    assert torch.allclose(live.graph().evaluate(x.unsqueeze(1)).squeeze(1), module(x), atol=1e-5)
    live.graph().evaluate(x.unsqueeze(1)).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    module = nn.Sequential(nn.ConvTranspose2d(2, 3, 3, 2, 1, 1, bias=False), nn.Tanh(), nn.Sigmoid())
    live, x = LiveNetwork(module, (2, 3, 3)), torch.rand(2, 2, 3, 3)
    assert torch.allclose(live.graph().evaluate(x.unsqueeze(1)).squeeze(1), module(x), atol=1e-5)


def test_imported_networks_have_live_bounds(tmp_path):
    export = pytest.importorskip("training.export")
    from training.from_onnx import load_module
    from training.models import build

    for arch in ("resnet-2b", "cnn-tiny"):
        export.export_onnx(build(arch, (1, 8, 8), 3, [0.4], [0.3]), (1, 8, 8), tmp_path / "m.onnx")
        module, x = load_module(tmp_path / "m.onnx"), torch.rand(2, 1, 8, 8)
        live = LiveNetwork(module, (1, 8, 8))
        assert torch.allclose(live.graph().evaluate(x.unsqueeze(1)).squeeze(1), module(x), atol=1e-5)
        assert len(live.relus) == sum(isinstance(part, nn.ReLU) for part in module.modules())


def test_refusals_of_moves():
    for message, function in {
        "padded with constants": lambda y: F.pad(y.view(-1, 2, 2), (1, 1)),
        "selected from flat values": lambda y: torch.index_select(y.view(-1, 2, 2), 1, torch.tensor([0])),
        "sums over named axes": lambda y: y.sum(1),
    }.items():
        with pytest.raises(UnsupportedOperator, match=message):
            LiveNetwork(Applied(function), (4,))


def test_weights_that_are_shared_or_scaled_keep_their_gradients():
    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    module[2].weight = module[0].weight
    live, x = LiveNetwork(module, (3,)), torch.rand(4, 3)
    live.graph().evaluate(x.unsqueeze(1)).sum().backward()
    found, module[0].weight.grad = module[0].weight.grad.clone(), None
    module(x).sum().backward()
    assert torch.allclose(found, module[0].weight.grad, atol=1e-5)
