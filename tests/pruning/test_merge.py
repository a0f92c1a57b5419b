"""Merged layers compute the same."""

from __future__ import annotations

import torch
from torch import fx, nn

from pruning.merge import linears_merged, normalisations_folded


def check(module: nn.Module, *shape: int) -> tuple[nn.Module, tuple[str, ...]]:
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            if part.weight is not None:
                nn.init.normal_(part.weight)
                nn.init.normal_(part.bias)
    module = module.double().eval()
    folded, done = normalisations_folded(fx.symbolic_trace(module))
    new, products = linears_merged(folded)
    done += products
    x = torch.randn(7, *shape, dtype=torch.float64)
    assert torch.allclose(folded(x), module(x), atol=1e-12) and torch.allclose(new(x), module(x), atol=1e-12)
    return new, done


def test_batch_normalisations_go_into_the_layer_before_them():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4),
                        nn.BatchNorm1d(4, affine=False))
    new, done = check(net, 2, 5, 5)
    assert done == ("1 into 0", "5 into 4")
    assert [name for name, _ in new.named_children()] == ["0", "2", "3", "4"]
    assert all(p.requires_grad for p in new.parameters()) and len(list(net.children())) == 6


def test_a_layer_that_something_else_reads_stays():
    class Read(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.bn, self.b = nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3)

        def forward(self, x):
            y = self.a(x)
            return self.bn(y) + self.b(y)

    assert check(Read(), 3)[1] == ()


def test_linear_layers_merge_unless_that_enlarges():
    new, done = check(nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4, bias=False), nn.Linear(4, 2)), 6)
    assert done == ("0 into 1", "1 into 2") and new.get_submodule("2").weight.shape == (2, 6)
    assert new.get_submodule("2").in_features == 6
    assert check(nn.Sequential(nn.Linear(6, 1), nn.Linear(1, 6)), 6)[1] == ()
    assert check(nn.Sequential(nn.Linear(6, 4, bias=False), nn.Linear(4, 3, bias=False)), 6)[0].get_submodule(
        "1").bias is None


def test_shared_layers_stay():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3)

        def forward(self, x):
            return self.a(self.a(x))

    assert check(Twice(), 3)[1] == ()
